package job

import (
	"regexp"
	"strconv"
	"strings"
)

// A placeholder stands in a command, setup or env value for something that is
// only known on the instance: "@{input:features}" is the folder that holds the
// outputs of the task features, "@{input:features:3}" that of its index 3. A
// literal "@{" in the user's text is written "@@{".
var placeholder = regexp.MustCompile(`@@\{|@\{([^{}]*)\}`)

// InputPlaceholder is the placeholder for the outputs of a task, or of one
// index of it; index -1 is the whole task.
func InputPlaceholder(task string, index int) string {
	if index < 0 {
		return "@{input:" + task + "}"
	}
	return "@{input:" + task + ":" + strconv.Itoa(index) + "}"
}

// EscapePlaceholders makes text mean itself to ExpandPlaceholders.
func EscapePlaceholders(text string) string { return strings.ReplaceAll(text, "@{", "@@{") }

// ExpandPlaceholders replaces each placeholder by what value gives for the
// text between its braces, and undoes the escapes.
func ExpandPlaceholders(text string, value func(name string) string) string {
	return placeholder.ReplaceAllStringFunc(text, func(match string) string {
		if match == "@@{" {
			return "@{"
		}
		if match == "@{"+placeholderAt+"}" {
			return "@"
		}
		return value(match[2 : len(match)-1])
	})
}

// EscapeBeforePlaceholder is EscapePlaceholders for text that a placeholder
// follows at once: an "@" at its end is written "@{at}", since "@@{" would
// escape the placeholder.
func EscapeBeforePlaceholder(text string) string {
	body := strings.TrimRight(text, "@")
	return EscapePlaceholders(body) + strings.Repeat("@{"+placeholderAt+"}", len(text)-len(body))
}

// placeholderAt names the placeholder for an "@".
const placeholderAt = "at"
