package jobspec

import (
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"

	"github.com/spotrelay/spotrelay/runner/job"
)

// directory is one that the task has for a purpose.
type directory struct {
	what, path string // no path: processes
	at         hcl.Range
}

// readCheckpoints reads the checkpoint blocks of a task: the one without a
// name, and the others in their order.
func (l *loader) readCheckpoints(blocks []*content, s scope, out *job.Execution) (dirs []directory) {
	places := map[string]hcl.Range{}
	for _, block := range blocks {
		name, where, ok := l.readCheckpointName(block, s)
		c := l.readCheckpoint(block, s)
		if !ok || c == nil || !l.isNewName(places, name, where) {
			continue
		}
		dir := directory{what: "checkpoint", path: c.Path, at: block.header}
		if attr := block.attrs["path"]; attr != nil {
			dir.at = attr.Expr.Range()
		}
		dirs = append(dirs, dir)
		if c.Name = name; name == "" {
			out.Checkpoint = c
		} else {
			out.Further = append(out.Further, *c)
		}
	}
	if out.Checkpoint == nil && len(out.Further) > 0 && len(dirs) == len(blocks) {
		l.report(report{at: places[out.Further[0].Name], summary: "No checkpoint without a name",
			detail: "One checkpoint block of a task has no name: its directory is the task's SPOTRELAY_CHECKPOINT_DIR. Remove the name of the most important one."})
	}
	return dirs
}

// isNewName reports a name that another checkpoint of the task has. Two that
// differ in - and _ alone would have one variable.
func (l *loader) isNewName(places map[string]hcl.Range, name string, where hcl.Range) bool {
	key := strings.ReplaceAll(name, "-", "_")
	before, taken := places[key]
	switch {
	case !taken:
		places[key] = where
		places[name] = where
		return true
	case name == "":
		l.report(report{at: where, summary: "Second checkpoint without a name",
			detail: fmt.Sprintf("Of several checkpoint blocks of a task all but one have a name; the one without is at %s. Write: name = \"index\".", at(before))})
	default:
		l.report(report{at: where, summary: fmt.Sprintf("Second checkpoint %q", name),
			detail: fmt.Sprintf("The names of a task's checkpoints differ, in more than - and _; the first is at %s.", at(before))})
	}
	return false
}

// readCheckpointName reads the name, "" for none. Where is its place, or that
// of the block.
func (l *loader) readCheckpointName(c *content, s scope) (name string, where hcl.Range, ok bool) {
	defer l.within(l.block + ", checkpoint")()
	st := l.setting(checkpointSchema, "name", s, c)
	if !st.given() {
		return "", c.header, true
	}
	name, ok = st.text()
	if ok && !namePattern.MatchString(name) {
		l.checkName("checkpoint", name, st.where)
		ok = false
	}
	return name, st.where, ok
}

func (l *loader) readCheckpoint(c *content, s scope) *job.Checkpoint {
	defer l.within(l.block + ", checkpoint")()
	get := func(name string) setting { return l.setting(checkpointSchema, name, s, c) }
	interval, _ := get("interval").duration()
	if interval > 0 && interval < time.Second {
		get("interval").invalid(get("interval").where, "an interval is at least 1s, or 0 for saves on a notice and on request alone")
	}
	ahead, aheadOK := get("ahead").boolean()
	result := &job.Checkpoint{Interval: job.Duration(interval), Keep: l.readKeep(get("keep")), NoAhead: aheadOK && !ahead}
	atEnd, _ := get("at_end").text()
	result.AtEnd = job.AtEnd(atEnd)
	method, ok := get("method").text()
	path := get("path")
	switch {
	case !ok:
		return nil
	case method == job.CheckpointCRIU && path.given():
		path.invalid(path.where, "with method = \"criu\" processes are saved, not a directory; remove path, or method")
		return nil
	case method == job.CheckpointCRIU && get("name").given():
		get("name").invalid(get("name").where, "processes are a task's checkpoint as a whole, and have no name; remove name, or method")
		return nil
	case method == job.CheckpointCRIU && get("ahead").given():
		get("ahead").invalid(get("ahead").where, "with method = \"criu\" there is nothing to send between dumps; remove ahead, or method")
		return nil
	case method == job.CheckpointCRIU:
		result.Method = method
		return result
	case !path.require(c):
		return nil
	}
	result.Path, ok = l.readPath(path)
	if !ok {
		return nil
	}
	return result
}

func (l *loader) readKeep(st setting) *job.Retention {
	member, _ := st.object()
	last, ok := member("last").whole(1, math.MaxInt32)
	if !ok {
		last = 1
	}
	every, _ := member("every").duration()
	if every > 0 && every < time.Second {
		member("every").invalid(member("every").where, "a period is at least 1s, or 0 for none")
	}
	return &job.Retention{Last: last, Every: job.Duration(every)}
}

// checkApart reports checkpoints and an output that lie in each other: a
// checkpoint is put back at a start, by itself, and the output is new with each
// attempt.
func (l *loader) checkApart(c *content, dirs []directory, output *job.Output) {
	for _, dir := range dirs {
		if dir.path == "" && len(dirs) > 1 {
			l.report(report{at: dir.at, summary: "Processes and a directory are both checkpoints",
				detail: "With method = \"criu\" the working directory is saved with the processes, and with it all that is in it. Remove the other checkpoint blocks."})
			return
		}
	}
	if output != nil {
		dirs = append(dirs, directory{"output", output.Path, c.first(outputSchema).attrs["path"].Expr.Range()})
	}
	for i, later := range dirs {
		for _, earlier := range dirs[:i] {
			if earlier.path == "" || !lieInEachOther(earlier.path, later.path) {
				continue
			}
			if later.what == earlier.what {
				l.report(report{at: later.at, summary: "Two checkpoints lie in each other",
					detail: fmt.Sprintf("One is %q and the other %q. Give each a directory of its own.", earlier.path, later.path)})
				continue
			}
			l.report(report{at: later.at, summary: "Checkpoint and output lie in each other",
				detail: fmt.Sprintf("The checkpoint is %q and the output %q. Give each a directory of its own, such as \"ckpt\" and \"out\".", earlier.path, later.path)})
		}
	}
}

func lieInEachOther(a, b string) bool {
	return a == b || strings.HasPrefix(a, b+"/") || strings.HasPrefix(b, a+"/")
}
