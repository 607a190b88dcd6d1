package jobspec

import (
	"fmt"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"

	"github.com/spotrelay/spotrelay/runner/job"
)

// jobDefaults are what a job sets for its tasks.
type jobDefaults struct {
	env    map[string]string
	labels map[string]string
	fleets []string
}

// readExecution reads what an agent needs to know.
func (l *loader) readExecution(t *task, out *job.Task, block *content, base jobDefaults) {
	s := scope{ctx: l.ctx}
	out.Execution = job.Execution{
		Signal:  "SIGTERM",
		Timeout: job.Duration(l.positive(l.setting(taskSchema, "timeout", s, t.c))),
		Setup:   l.readSetup(t, block),
		Output:  l.readOutput(t.c.first(outputSchema), s),
	}
	dirs := l.readCheckpoints(t.c.named(checkpointSchema), s, &out.Execution)
	if signal, ok := l.setting(taskSchema, "signal", s, t.c).text(); ok {
		out.Execution.Signal = signal
	}
	killAfter, _ := l.setting(taskSchema, "kill_after", s, t.c).duration()
	out.Execution.KillAfter = job.Duration(killAfter)
	l.checkApart(t.c, dirs, out.Execution.Output)
	l.expand(t, out, base.env)
}

// positive reads a duration above zero, 0 when there is none.
func (l *loader) positive(st setting) time.Duration {
	duration, ok := st.duration()
	if ok && st.given() && duration == 0 {
		st.invalid(st.where, "%q is longer than 0; leave it out for none", st.schema.name)
	}
	return duration
}

func (l *loader) readOutput(c *content, s scope) *job.Output {
	if c == nil {
		return nil
	}
	defer l.within(l.block + ", output")()
	st := l.setting(outputSchema, "path", s, c)
	if !st.require(c) {
		return nil
	}
	path, ok := l.readPath(st)
	if !ok {
		return nil
	}
	return &job.Output{Path: path}
}

// readSetup reads the setup command, which is the same for all indexes.
func (l *loader) readSetup(t *task, block *content) []string {
	st := l.setting(taskSchema, "setup", scope{ctx: l.ctx, task: t}, t.c)
	if !st.given() {
		st = l.setting(jobSchema, "setup", scope{ctx: l.ctx}, block)
	}
	if !st.given() {
		return nil
	}
	template, ok := l.commandTemplate(st)
	if !ok {
		return nil
	}
	return template.fixed()
}

// readLabels reads labels over the job's.
func (l *loader) readLabels(st setting, base map[string]string) map[string]string {
	table, _ := st.table()
	labels := map[string]string{}
	for name, text := range base {
		labels[name] = text
	}
	for _, name := range keysOf(table) {
		if fault := labelFault(name, table[name].text); fault != "" {
			l.report(report{at: table[name].at, summary: fmt.Sprintf("Invalid label %q", shorten(name)), detail: fault})
			continue
		}
		labels[name] = table[name].text
	}
	if len(labels) == 0 {
		return nil
	}
	return labels
}

// labelFault is what is wrong with a label as a tag of any cloud. Amazon's
// bounds (128 and 256 characters) are taken; a provider may check more.
func labelFault(name, text string) string {
	switch {
	case name == "":
		return "A label has a name."
	case strings.HasPrefix(strings.ToLower(name), "spotrelay"):
		return "Labels that begin with spotrelay are spotrelay's own tags."
	case len(name) > 128 || len(text) > 256:
		return "The name of a label is at most 128 bytes long, and its text 256."
	case strings.ContainsFunc(name+text, func(r rune) bool { return r < ' ' }):
		return "Labels have no control characters."
	}
	return ""
}

// envFault is what is wrong with an environment variable.
func envFault(name string) string {
	switch {
	case name == "" || strings.ContainsAny(name, "=\x00"):
		return "The name of an environment variable is not empty and has no =."
	case strings.HasPrefix(name, "SPOTRELAY_"):
		return "Variables that begin with SPOTRELAY_ are spotrelay's own."
	}
	return ""
}

// readJobEnv reads the env of a job.
func (l *loader) readJobEnv(block *content) map[string]string {
	template, _ := l.envTemplate(l.setting(jobSchema, "env", scope{ctx: l.ctx}, block))
	return template.fixedMap()
}

// sourceText is the text of a range, as it is written.
func (l *loader) sourceText(where hcl.Range) string {
	source := l.sources[where.Filename]
	if where.Start.Byte < 0 || where.End.Byte > len(source) || where.Start.Byte > where.End.Byte {
		return ""
	}
	return string(source[where.Start.Byte:where.End.Byte])
}
