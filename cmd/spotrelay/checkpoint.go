package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/spotrelay/spotrelay/checkpointing"
	"github.com/spotrelay/spotrelay/checkpointing/bucket"
	"github.com/spotrelay/spotrelay/cmd/spotrelay/internal/narrate"
	"github.com/spotrelay/spotrelay/runner/job"
	"github.com/spotrelay/spotrelay/runner/plan"
	"github.com/spotrelay/spotrelay/runner/store"
)

func (a *app) checkpointCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "checkpoint",
		Short: "List, fetch, verify and prune the checkpoints of a run",
		Long: `Shows what the tasks of a run have saved, fetches it, reads all of it to see that it
is whole, and removes what is no longer wanted. A checkpoint's ID is the attempt
that saved it and the number of the save: 2-7 is the seventh of attempt 2.`,
		Example: `  spotrelay checkpoint ls last
  spotrelay checkpoint restore last train --to /tmp/train
  spotrelay checkpoint verify last
  spotrelay checkpoint prune last --last 1`,
		Args:                       noCommand,
		SuggestionsMinimumDistance: 2,
		RunE:                       func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(a.checkpointListCommand(), a.checkpointShowCommand(), a.checkpointRestoreCommand(),
		a.checkpointVerifyCommand(), a.checkpointPruneCommand())
	return cmd
}

// checkpoints are those of one run.
type checkpoints struct {
	run    string
	state  *plan.State
	bucket bucket.Bucket
	engine checkpointing.Engine
}

// series is the checkpoints of one index and one directory, the newest last.
type series struct {
	task  *job.Task
	at    int // of the task in the specification
	index int
	name  string // that the job file gives the directory, "" for none
	refs  []checkpointing.Ref
}

// openCheckpoints is to be closed.
func (a *app) openCheckpoints(ctx context.Context, ref string) (*checkpoints, error) {
	b, err := a.openBucket(ctx)
	if err != nil {
		return nil, err
	}
	run, err := resolveRun(ctx, b, ref)
	if err != nil {
		return nil, errors.Join(err, b.Close())
	}
	state, _, err := store.LoadRun(ctx, b, run)
	if err != nil {
		return nil, errors.Join(err, b.Close())
	}
	return &checkpoints{run: run, state: state, bucket: b, engine: checkpointing.Open(b)}, nil
}

func (c *checkpoints) close() { _ = c.bucket.Close() } // nothing is left to write

// cutName cuts the name of a checkpoint directory off TASK:NAME or
// TASK/INDEX:NAME. Without one it is the directory that has none.
func cutName(text string) (task, name string, named bool) {
	task, name, named = strings.Cut(text, ":")
	return task, name, named
}

// all is the series of a run, or of TASK or TASK/INDEX of it; "" is the run.
// With :NAME it is the series of that name alone. An index that has saved
// nothing is not among them.
func (c *checkpoints) all(ctx context.Context, only string) ([]series, error) {
	root := store.RunPrefix(c.run) + "checkpoints/"
	prefix := root
	only, name, named := cutName(only)
	if only != "" {
		which, err := parseTaskRef(only)
		if err != nil {
			return nil, err
		}
		task, err := findTask(c.state.Spec, which)
		if err != nil {
			return nil, err
		}
		if prefix = root + task.Name + "/"; which.index >= 0 {
			prefix += strconv.Itoa(which.index) + "/"
		}
	}
	refs, err := c.engine.List(ctx, prefix)
	if err != nil {
		return nil, err
	}
	list := c.group(refs)
	if named {
		list = slices.DeleteFunc(list, func(s series) bool { return s.name != name })
	}
	return list, nil
}

// group sorts checkpoints into series, these in the order of the job file.
func (c *checkpoints) group(refs []checkpointing.Ref) []series {
	var list []series
	for _, ref := range refs {
		task, index, name, ok := c.ownerOf(ref.Key)
		if !ok {
			continue
		}
		at := slices.IndexFunc(list, func(s series) bool { return s.at == task && s.index == index && s.name == name })
		if at < 0 {
			at = len(list)
			list = append(list, series{task: &c.state.Spec.Tasks[task], at: task, index: index, name: name})
		}
		list[at].refs = append(list[at].refs, ref)
	}
	slices.SortFunc(list, func(a, b series) int {
		return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.index, b.index), cmp.Compare(a.name, b.name))
	})
	return list
}

// ownerOf is the index and directory that a checkpoint is of.
func (c *checkpoints) ownerOf(key string) (task, index int, name string, ok bool) {
	of, index, node, name, ok := store.SeriesOf(c.run, key)
	task = slices.IndexFunc(c.state.Spec.Tasks, func(t job.Task) bool { return t.Name == of })
	return task, index, name, ok && node == 0 && task >= 0 && index < c.state.Spec.Tasks[task].Count
}

// one is the series of TASK or TASK/INDEX, which must mean a single index that
// has saved something; with :NAME that of the directory of that name.
func (c *checkpoints) one(ctx context.Context, text string) (series, error) {
	of, name, _ := cutName(text)
	which, err := parseTaskRef(of)
	if err != nil {
		return series{}, err
	}
	task, err := findTask(c.state.Spec, which)
	if err != nil {
		return series{}, err
	}
	if which.index, err = which.one(task); err != nil {
		return series{}, err
	}
	list, err := c.all(ctx, fmt.Sprintf("%s/%d:%s", task.Name, which.index, name))
	if err != nil {
		return series{}, err
	}
	if len(list) == 0 {
		return series{}, wrongCall("spotrelay checkpoint ls "+c.run+" lists those that there are", "task %s of run %s has no checkpoint", text, c.run)
	}
	return list[0], nil
}

// name is how people call the index, and with it the directory where that has
// a name.
func (c *checkpoints) name(s series) string {
	name := narrate.Name(c.state.Spec, s.task.Name, s.index)
	if s.name != "" {
		name += ":" + s.name
	}
	return name
}

// prefix is that of the series' keys.
func (c *checkpoints) prefix(s series) string {
	return store.SeriesPrefix(c.run, s.task.Name, s.index, 0, s.name)
}

// find is the checkpoint of a series that an ID means.
func (c *checkpoints) find(s series, text string) (checkpointing.Ref, error) {
	id, err := parseCheckpointID(text)
	if err != nil {
		return checkpointing.Ref{}, err
	}
	var ids []string
	for _, ref := range s.refs {
		if ref.ID == id {
			return ref, nil
		}
		ids = append(ids, idText(ref.ID))
	}
	hint := "there are " + strings.Join(ids[max(0, len(ids)-8):], ", ")
	if len(ids) > 8 {
		hint = "the newest of its " + strconv.Itoa(len(ids)) + ": " + strings.Join(ids[len(ids)-8:], ", ")
	}
	return checkpointing.Ref{}, wrongCall(hint, "%s of run %s has no checkpoint %s", c.name(s), c.run, idText(id))
}

// parentText is what a checkpoint went on from, "" for one that began anew.
func parentText(ref checkpointing.Ref) string {
	id, ok := checkpointing.ParseManifestName(path.Base(ref.Parent))
	if !ok {
		return ""
	}
	return idText(id)
}

func idText(id checkpointing.ID) string { return fmt.Sprintf("%d-%d", id.Attempt, id.Sequence) }

// parseCheckpointID reads 2-7.
func parseCheckpointID(text string) (checkpointing.ID, error) {
	attempt, sequence, _ := strings.Cut(text, "-")
	a, errA := strconv.ParseUint(attempt, 10, 31)
	s, errS := strconv.ParseUint(sequence, 10, 62)
	if errA != nil || errS != nil {
		return checkpointing.ID{}, wrongCall("write it as 2-7, the seventh of attempt 2", "%q is not the ID of a checkpoint", text)
	}
	return checkpointing.ID{Attempt: int(a), Sequence: int64(s)}, nil
}

// isDamage reports whether a checkpoint is at fault, and not the bucket's
// being out of reach or this program's age.
func isDamage(err error) bool {
	for _, code := range []checkpointing.Code{checkpointing.CodeCorrupt, checkpointing.CodeMissing, checkpointing.CodeUnsafe} {
		if errors.Is(err, &checkpointing.Error{Code: code}) {
			return true
		}
	}
	return false
}

// damageJSON is an object that is damaged.
type damageJSON struct {
	ID      string `json:"id,omitempty"` // of the checkpoint, where it is not clear
	Object  string `json:"object"`
	Code    string `json:"code"`
	Message string `json:"message"`
}

func damageOf(id string, err error) damageJSON {
	view := damageJSON{ID: id, Message: err.Error()}
	var own *checkpointing.Error
	if errors.As(err, &own) {
		view.Object, view.Code = own.What, string(own.Code)
	}
	return view
}

// passedOver tells which damaged checkpoints are newer than the one taken.
func (a *app) passedOver(damaged []damageJSON) {
	for _, d := range damaged {
		fmt.Fprintf(a.stderr, "passed over checkpoint %s, which is damaged: %s\n", d.ID, d.Message)
	}
}

// completeCheckpoint completes a run, a task and the ID of a checkpoint.
func (a *app) completeCheckpoint(cmd *cobra.Command, args []string, toComplete string) ([]string, cobra.ShellCompDirective) {
	if len(args) != 2 {
		return a.completeRunTask(cmd, args, toComplete)
	}
	c, err := a.openCheckpoints(cmd.Context(), args[0])
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	defer c.close()
	s, err := c.one(cmd.Context(), args[1])
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var found []string
	for _, ref := range slices.Backward(s.refs) {
		if id := idText(ref.ID); strings.HasPrefix(id, toComplete) {
			found = append(found, id)
		}
	}
	return found, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveKeepOrder
}
