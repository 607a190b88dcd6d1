package job

import (
	"bytes"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"
)

// MaxResultBytes bounds what a task may write to its result file.
const MaxResultBytes = 64 << 10

// resultKey is how the keys of results are made.
var resultKey = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// IsResultKey reports whether a result may be called so.
func IsResultKey(key string) bool { return resultKey.MatchString(key) }

// ParseResult reads a result file: lines of KEY=VALUE, of which a later one
// wins over an earlier of the same key. Empty lines are passed over, and a
// carriage return at a line's end is not part of the value. Nil for a file that
// says nothing. The error is a sentence for who wrote the task.
func ParseResult(text []byte) (map[string]string, error) {
	if len(text) > MaxResultBytes {
		return nil, fmt.Errorf("it has more than %d bytes; large values belong into the output", MaxResultBytes)
	}
	var result map[string]string
	number := 0
	for line := range bytes.Lines(text) {
		number++
		line = bytes.TrimSuffix(bytes.TrimSuffix(line, []byte("\n")), []byte("\r"))
		if len(line) == 0 {
			continue
		}
		key, value, ok := bytes.Cut(line, []byte("="))
		switch {
		case !ok:
			return nil, fmt.Errorf("line %d is not KEY=VALUE: %q", number, shortened(line))
		case !IsResultKey(string(key)):
			return nil, fmt.Errorf("line %d: a key has letters, digits and _, and does not begin with a digit; %q does not fit", number, shortened(key))
		case !utf8.Valid(value) || bytes.IndexByte(value, 0) >= 0:
			return nil, fmt.Errorf("line %d: the value of %s is not UTF-8 text", number, key)
		}
		if result == nil {
			result = map[string]string{}
		}
		result[string(key)] = string(value)
	}
	return result, nil
}

func shortened(text []byte) string {
	const most = 60
	if len(text) > most {
		return string(text[:most]) + "..."
	}
	return string(text)
}

// resultPrefix begins the name of a placeholder for a result.
const resultPrefix = "result:"

// ResultPlaceholder is the placeholder for a value that an index of a task
// wrote: "@{result:train:3:accuracy}". The controller replaces it when it
// assigns the attempt; agents never see one.
func ResultPlaceholder(ref ResultRef) string {
	return "@{" + resultPrefix + ref.Task + ":" + strconv.Itoa(ref.Index) + ":" + ref.Key + "}"
}

// HasResults reports whether a text may hold a placeholder for a result.
func HasResults(text string) bool { return strings.Contains(text, "@{"+resultPrefix) }

// resultRefOf reads the name of a placeholder.
func resultRefOf(name string) (ResultRef, bool) {
	rest, ok := strings.CutPrefix(name, resultPrefix)
	parts := strings.Split(rest, ":")
	if !ok || len(parts) != 3 {
		return ResultRef{}, false
	}
	index, err := strconv.Atoi(parts[1])
	return ResultRef{Task: parts[0], Index: index, Key: parts[2]}, err == nil
}

// ExpandResults replaces the placeholders for results by what value gives,
// escaped, and leaves all others as they are.
func ExpandResults(text string, value func(ResultRef) string) string {
	if !HasResults(text) {
		return text
	}
	return placeholder.ReplaceAllStringFunc(text, func(match string) string {
		if match == "@@{" {
			return match
		}
		ref, ok := resultRefOf(match[2 : len(match)-1])
		if !ok {
			return match
		}
		return EscapeBeforePlaceholder(value(ref)) // whatever follows it
	})
}

// InputIndexes are the indexes of a task whose outputs a text refers to by
// placeholders, each as often as it does; -1 is the whole task.
func InputIndexes(text, task string) []int {
	var indexes []int
	if !strings.Contains(text, "@{input:"+task) {
		return nil
	}
	ExpandPlaceholders(text, func(name string) string {
		rest, ok := strings.CutPrefix(name, "input:"+task)
		index, one := strings.CutPrefix(rest, ":")
		switch n, err := strconv.Atoi(index); {
		case ok && rest == "":
			indexes = append(indexes, -1)
		case ok && one && err == nil:
			indexes = append(indexes, n)
		}
		return ""
	})
	return indexes
}
