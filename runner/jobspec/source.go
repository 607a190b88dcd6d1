package jobspec

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"

	"github.com/spotrelay/spotrelay/runner/job"
)

// Input is an input from outside and where it is.
type Input struct {
	Name string
	// Address is an s3:// or gs:// URL, or the path of a folder or file.
	Address string
}

// inputReference is a use of an input from outside.
type inputReference struct {
	name  string // "" when it names none
	at    hcl.Range
	whole bool // input.NAME and nothing after it
}

// declareInputs takes the input blocks of a job, which references need.
func (l *loader) declareInputs(block *content) {
	for _, c := range block.named(inputSchema) {
		l.checkName("input", c.label, c.labelRange)
		if before, again := l.inputs[c.label]; again {
			l.duplicate("input", c, before)
			continue
		}
		l.inputs[c.label] = c
		l.inputOrder = append(l.inputOrder, c)
	}
}

// inputVariables are the inputs by the variable that tells tasks of them.
func (l *loader) inputVariables() map[string]*content {
	variables := map[string]*content{}
	for _, c := range l.inputOrder {
		l.checkAlike(variables, c)
	}
	return variables
}

// checkAlike reports a task or input whose folder would have another's
// variable, and notes it else.
func (l *loader) checkAlike(variables map[string]*content, c *content) {
	name := inputDirName(c.label)
	before, clash := variables[name]
	if !clash {
		variables[name] = c
		return
	}
	if before.label == c.label {
		l.report(report{at: c.labelRange, summary: fmt.Sprintf("%s and %s are both called %q", capital(article(c.schema.name)), article(before.schema.name), c.label),
			detail: fmt.Sprintf("Tasks would find the files of both in %s. Rename one of them.", name)})
		return
	}
	both := fmt.Sprintf("Tasks %q and %q", before.label, c.label)
	if before.schema != c.schema || c.schema == inputSchema {
		both = fmt.Sprintf("%q and %q", before.label, c.label)
	}
	l.report(report{at: c.labelRange, summary: both + " are too much alike",
		detail: fmt.Sprintf("Others would find the outputs of both in %s. Rename one of them.", name)})
}

// readInputs reads the input blocks.
func (l *loader) readInputs() (sources []job.SourceInput, inputs []Input) {
	for _, c := range l.inputOrder {
		leave := l.within(c.title())
		if source, address := l.readSource(c); source != "" {
			sources = append(sources, job.SourceInput{Name: c.label, Source: source})
			inputs = append(inputs, Input{c.label, address})
		}
		leave()
	}
	return sources, inputs
}

func (l *loader) readSource(c *content) (source, address string) {
	st := l.setting(inputSchema, "source", scope{ctx: l.ctx}, c)
	if !st.require(c) {
		return "", ""
	}
	text, ok := st.text()
	scheme, rest, isURL := strings.Cut(text, "://")
	switch {
	case !ok:
	case strings.TrimSpace(text) == "" || strings.ContainsRune(text, 0):
		st.invalid(st.where, "source is s3://BUCKET/PREFIX, gs://BUCKET/PREFIX, or a folder, such as %s", st.schema.example)
	case isURL && scheme == "file":
		st.invalid(st.where, "a folder here is written as its path, without file://")
	case isURL && scheme != "s3" && scheme != "gs":
		st.invalid(st.where, "files are imported from s3://BUCKET/PREFIX, gs://BUCKET/PREFIX or a folder, not from %s://", shorten(scheme))
	case isURL && strings.Trim(rest, "/") == "":
		st.invalid(st.where, "the name of the bucket is missing, such as %s", st.schema.example)
	case isURL:
		return text, strings.TrimRight(text, "/")
	case filepath.IsAbs(text):
		return text, filepath.Clean(text)
	default:
		return text, filepath.Join(l.folder, filepath.FromSlash(text))
	}
	return "", ""
}

// checkInputReference reports a reference to an input that cannot be resolved;
// a good one gives the task the input.
func (l *loader) checkInputReference(ref inputReference, s scope) bool {
	switch {
	case s.task == nil:
		l.report(report{at: ref.at, summary: "Inputs cannot be referred to here",
			detail: "The folder of an input can be part of command, setup and env of a task."})
	case ref.name == "" || !ref.whole:
		l.report(report{at: ref.at, summary: "Invalid reference to an input", detail: "An input is referred to as input.NAME, which is the name of a folder: \"${input.NAME}/file\"."})
	default:
		return l.giveInput(s.task, ref.name, ref.at)
	}
	return false
}

// giveInput notes that a task is given an input, or reports that there is none.
func (l *loader) giveInput(t *task, name string, where hcl.Range) bool {
	if l.inputs[name] == nil {
		l.report(report{at: where, summary: fmt.Sprintf("Unknown input %q", shorten(name)),
			detail: fmt.Sprintf("The job has no block input %q { ... }.", shorten(name)), suggestion: nearest(name, keysOf(l.inputs))})
		return false
	}
	if t.inputs == nil {
		t.inputs = map[string]bool{}
	}
	t.inputs[name] = true
	return true
}

// readInputNames reads the inputs that a task lists.
func (l *loader) readInputNames(t *task, s scope) {
	list, _ := l.setting(taskSchema, "inputs", s, t.c).list()
	for _, item := range list {
		l.giveInput(t, item.text, item.at)
	}
}

// warnUnusedInputs tells of inputs that would be imported for nobody.
func (l *loader) warnUnusedInputs() {
	for _, c := range l.inputOrder {
		if !slices.ContainsFunc(l.taskOrder, func(t *task) bool { return t.inputs[c.label] }) {
			l.report(report{at: c.header, summary: fmt.Sprintf("No task uses input %q", c.label), warning: true,
				detail: fmt.Sprintf("It would be imported for nobody. Refer to it as input.%s, or list it in inputs of a task.", c.label)})
		}
	}
}
