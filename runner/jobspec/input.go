package jobspec

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"math/big"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"

	"github.com/spotrelay/spotrelay/runner/job"
)

// A reference to another task's output, or to a result that it writes, becomes a
// placeholder in the spec. While
// an expression is evaluated it is a token: text that holds a digest of the
// sources, so that no text of the user's can be taken for one, and bears a
// mark, so that it is noticed when a function has made something else of it.
// Rendering escapes what is the user's and puts placeholders for tokens.

// inputMark is on what came from a reference to an output or a result.
type inputMark struct {
	task   string
	index  int    // -1: the outputs of all indexes; fromOutside: task is the name of an input
	result string // the key of a result, "" for an output
}

func (m inputMark) compare(other inputMark) int {
	return cmp.Or(cmp.Compare(m.task, other.task), cmp.Compare(m.index, other.index), cmp.Compare(m.result, other.result))
}

// fromOutside marks an input from outside.
const fromOutside = -2

// placeholder is what stands for it in the spec.
func (m inputMark) placeholder() string {
	if m.result != "" {
		return job.ResultPlaceholder(job.ResultRef{Task: m.task, Index: m.index, Key: m.result})
	}
	return job.InputPlaceholder(m.task, m.index)
}

// tokens makes and finds the tokens of one load.
type tokens struct {
	prefix  string
	pattern *regexp.Regexp
}

func newTokens(sources map[string][]byte) *tokens {
	digest := sha256.New()
	for _, name := range keysOf(sources) {
		fmt.Fprintf(digest, "%d:%s%d:", len(name), name, len(sources[name]))
		digest.Write(sources[name])
	}
	prefix := "Input-" + hex.EncodeToString(digest.Sum(nil)[:12])
	return &tokens{prefix: prefix, pattern: regexp.MustCompile(prefix + `\(([a-z0-9_-]+):(-?[0-9]+):([A-Za-z0-9_]*)\)`)}
}

// value is the token for what a mark names.
func (t *tokens) value(m inputMark) cty.Value {
	return cty.StringVal(t.prefix + "(" + m.task + ":" + strconv.Itoa(m.index) + ":" + m.result + ")").Mark(m)
}

// rendering turns the strings of one value into text of the spec.
type rendering struct {
	tokens *tokens
	inputs map[inputMark]bool // expected by the marks; true when found
	// selects: the value may bear marks of what was left out of it.
	selects bool
	// garbled: a text holds what was a token.
	garbled bool
}

// render starts the rendering of a value. The value it returns has no marks.
func (t *tokens) render(value cty.Value, refs *references) (cty.Value, *rendering, bool) {
	r := &rendering{tokens: t, selects: refs.selects}
	if !value.ContainsMarked() {
		return value, r, false
	}
	plain, marks := value.UnmarkDeep()
	secret := false
	for mark := range marks {
		switch mark := mark.(type) {
		case inputMark:
			if r.inputs == nil {
				r.inputs = map[inputMark]bool{}
			}
			r.inputs[mark] = false
		case sensitiveMark:
			secret = true
		}
	}
	return plain, r, secret
}

// text is a text of the value with placeholders for tokens.
func (r *rendering) text(text string) string {
	if len(r.inputs) == 0 {
		return job.EscapePlaceholders(text)
	}
	var out strings.Builder
	last := 0
	for _, match := range r.tokens.pattern.FindAllStringSubmatchIndex(text, -1) {
		index, err := strconv.Atoi(text[match[4]:match[5]])
		if err != nil {
			continue
		}
		mark := inputMark{text[match[2]:match[3]], index, text[match[6]:match[7]]}
		if _, expected := r.inputs[mark]; !expected {
			continue
		}
		r.inputs[mark] = true
		out.WriteString(job.EscapeBeforePlaceholder(text[last:match[0]]))
		out.WriteString(mark.placeholder())
		last = match[1]
	}
	out.WriteString(job.EscapePlaceholders(text[last:]))
	if strings.Contains(strings.ToLower(out.String()), strings.ToLower(r.tokens.prefix)) {
		r.garbled = true
	}
	return out.String()
}

// lost is a reference that the value was made from and that its texts no
// longer hold whole.
func (r *rendering) lost() (inputMark, bool) {
	for _, mark := range slices.SortedFunc(maps.Keys(r.inputs), inputMark.compare) {
		if !r.inputs[mark] && !r.selects || r.garbled {
			return mark, true
		}
	}
	return inputMark{}, false
}

// checkLost reports a lost reference.
func (l *loader) checkLost(r *rendering, where hcl.Range) bool {
	mark, lost := r.lost()
	if lost {
		l.notKnownYet(mark, where)
	}
	return !lost
}

// notKnownYet reports that something is done with an output, a result or an
// input that needs to know it.
func (l *loader) notKnownYet(m inputMark, where hcl.Range) {
	const folder = "can be put together with other text, but not tested or changed by a function: the folder's name is not known before the attempt starts."
	switch {
	case m.result != "":
		l.report(report{at: where, summary: "A result is known when its task has ended",
			detail: fmt.Sprintf("task.%s.result.%s can be put together with other text, but not tested or changed by a function: the value is not known before the task has run. To decide by it whether a task runs use when.", m.task, m.result)})
	case m.index == fromOutside:
		l.report(report{at: where, summary: "An input is known on the instance alone", detail: fmt.Sprintf("input.%s %s", m.task, folder)})
	default:
		l.report(report{at: where, summary: "An output is known on the instance alone", detail: fmt.Sprintf("task.%s.output %s", m.task, folder)})
	}
}

// textOf is a scalar as text; false for anything else.
func textOf(value cty.Value) (text string, ok bool) {
	if value.IsNull() || !value.IsKnown() || !value.Type().IsPrimitiveType() {
		return "", false
	}
	if value.Type() == cty.Number { // the common case, without big numbers
		if number, accuracy := value.AsBigFloat().Int64(); accuracy == big.Exact {
			return strconv.FormatInt(number, 10), true
		}
	}
	converted, err := convert.Convert(value, cty.String)
	if err != nil {
		return "", false
	}
	return converted.AsString(), true
}

// checkTaskReference reports a reference to a task's output that cannot be
// resolved; a good one makes an edge.
func (l *loader) checkTaskReference(ref taskReference, s scope) bool {
	if s.task == nil {
		l.report(report{at: ref.at, summary: "Tasks cannot be referred to here",
			detail: "The output and the results of a task can be part of command, setup and env of another task; depends_on takes the task itself."})
		return false
	}
	if ref.fault != "" {
		l.report(report{at: ref.at, summary: "Invalid reference to a task", detail: ref.fault})
		return false
	}
	target := l.findTask(ref.name, ref.at)
	if target == nil {
		return false
	}
	if target == s.task {
		l.report(report{at: ref.at, summary: fmt.Sprintf("Task %q refers to itself", target.name), detail: "A task finds its own output directory in SPOTRELAY_OUTPUT_DIR."})
		return false
	}
	s.task.addEdge(target.name, ref.at, ref.whole && ref.result == "")
	if !l.checkMade(ref, target) {
		return false
	}
	if ref.key != cty.NilVal {
		_, ok := l.indexOf(target, ref.key, ref.at)
		return ok
	}
	return true
}

// checkMade reports a reference to what a task does not make.
func (l *loader) checkMade(ref taskReference, target *task) bool {
	made, after := "output", ".output"
	if ref.result != "" {
		made, after = "results", ".result."+ref.result
	}
	switch {
	case ref.result == "" && target.c.first(outputSchema) == nil:
		l.report(report{at: ref.at, summary: fmt.Sprintf("Task %q has no output", target.name),
			detail: fmt.Sprintf("Declare one in task %q: output { path = \"out\" }.", target.name)})
	case !ref.whole && target.array == "":
		l.report(report{at: ref.at, summary: fmt.Sprintf("Task %q is no array", target.name), detail: "It has no indexes.", suggestion: "task." + target.name + after})
	case ref.whole && ref.result != "" && target.array != "":
		l.report(report{at: ref.at, summary: fmt.Sprintf("Task %q is an array", target.name),
			detail: fmt.Sprintf("Each of its indexes writes %s of its own, such as task.%s[%s]%s.", made, target.name, target.firstIndex(), after)})
	default:
		return true
	}
	return false
}

// firstIndex is an index of an array as an expression.
func (t *task) firstIndex() string {
	if len(t.keys) > 0 {
		return strconv.Quote(t.keys[0])
	}
	return "0"
}

// findTask finds a task by name, or reports that there is none.
func (l *loader) findTask(name string, where hcl.Range) *task {
	if target := l.tasks[name]; target != nil {
		return target
	}
	r := report{at: where, summary: fmt.Sprintf("Unknown task %q", name), detail: fmt.Sprintf("The job has no task %q.", name)}
	if near := nearest(name, keysOf(l.tasks)); near != "" {
		r.suggestion = "task." + near
	}
	l.report(r)
	return nil
}

// indexOf is the index that a key means in an array, or a report.
func (l *loader) indexOf(target *task, key cty.Value, where hcl.Range) (int, bool) {
	if target.broken {
		return 0, false
	}
	if target.array == "each" {
		text, ok := textOf(key)
		index, found := slices.BinarySearch(target.keys, text)
		if !ok || !found {
			l.report(report{at: where, summary: fmt.Sprintf("Task %q has no such key", target.name),
				detail: "Its keys are those of its for_each.", suggestion: nearest(text, target.keys)})
			return 0, false
		}
		return index, true
	}
	index, fault := wholeOf(key, 0, max(target.count-1, 0))
	if fault != "" || target.count == 0 {
		detail := fmt.Sprintf("Its indexes are 0 to %d.", target.count-1)
		if target.count == 0 {
			detail = "Its count is 0."
		}
		l.report(report{at: where, summary: fmt.Sprintf("Task %q has no such index", target.name), detail: detail})
		return 0, false
	}
	return index, true
}
