//go:build unix

package agent

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"time"

	"github.com/spotrelay/spotrelay/checkpointing"
	"github.com/spotrelay/spotrelay/checkpointing/bucket"
	"github.com/spotrelay/spotrelay/runner/agent/window"
	"github.com/spotrelay/spotrelay/runner/job"
)

// prepare lays out the attempt's folder: inputs, the working directory with
// the workdir's files after the setup command, the restored checkpoint.
func (t *attempt) prepare(ctx context.Context) error {
	if err := checkAssignment(t.job); err != nil {
		return agentFault(err)
	}
	if t.transparent != nil {
		sweep(noGroup, t.marker(), nil) // what an earlier life of the agent left; it has the pids
	}
	if err := t.makeFolder(); err != nil {
		return err
	}
	if err := t.layInputs(ctx); err != nil {
		return err
	}
	if err := t.layWorkdir(ctx); err != nil {
		return err
	}
	if t.transparent != nil {
		if err := t.transparent.ready(ctx); err != nil { // after the setup, which may install it
			return err
		}
	}
	dirs := []string{t.work}
	for _, s := range t.savers {
		dirs = append(dirs, s.dir)
	}
	if dir := t.outputDir(); dir != "" {
		dirs = append(dirs, dir)
	}
	for _, dir := range dirs {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return fmt.Errorf("making %s: %w", dir, err)
		}
	}
	return t.restore(ctx)
}

// makeFolder makes the attempt's folder, empty.
func (t *attempt) makeFolder() error {
	if t.plain() && t.agent.folders.take(t.dir) {
		return nil
	}
	err := os.RemoveAll(t.dir)
	if err == nil {
		err = os.MkdirAll(t.dir, 0o755)
	}
	switch {
	case err == nil:
		return nil
	case t.transparent != nil && !isFull(err):
		return startFault(fmt.Errorf("checkpoint method criu has the task work in %s, which cannot be made: %w; "+
			"the agent needs root's powers for it, otherwise give the task a checkpoint path that it writes itself", t.dir, err))
	}
	return agentFault(fmt.Errorf("making the attempt's folder: %w", err))
}

// plain: the attempt begins with nothing but an empty working directory.
func (t *attempt) plain() bool {
	return t.transparent == nil && t.gang == nil && t.job.Workdir == nil && len(t.job.Execution.Setup) == 0 && len(t.job.Inputs) == 0
}

// checkAssignment refuses what would lead out of the attempt's folder. A
// controller does not write such; whoever can write the bucket could.
func checkAssignment(a job.Assignment) error {
	if a.Task == "" || !filepath.IsLocal(a.Task) || filepath.Base(a.Task) != a.Task {
		return fmt.Errorf("%q cannot be the name of a task", a.Task)
	}
	if a.Index < 0 || a.Attempt < 1 {
		return fmt.Errorf("index %d and attempt %d cannot be", a.Index, a.Attempt)
	}
	if len(a.Execution.Command) == 0 || a.Execution.Command[0] == "" {
		return errors.New("the assignment has no command")
	}
	for _, c := range a.Execution.Checkpoints() {
		if err := checkCheckpoint(c); err != nil {
			return err
		}
	}
	if o := a.Execution.Output; o != nil && !filepath.IsLocal(o.Path) {
		return fmt.Errorf("the output's path %q is not below the working directory", o.Path)
	}
	for _, input := range a.Inputs {
		if !filepath.IsLocal(input.Task) || filepath.Base(input.Task) != input.Task || input.Index < 0 {
			return fmt.Errorf("%q cannot be the name of a task", input.Task)
		}
	}
	return nil
}

func checkCheckpoint(c job.Checkpoint) error {
	switch {
	case c.Method != "" && c.Method != job.CheckpointCRIU:
		return fmt.Errorf("this agent does not know the checkpoint method %q", c.Method)
	case c.Method == "" && (!filepath.IsLocal(c.Path) || filepath.Clean(c.Path) == "."):
		return fmt.Errorf("the checkpoint's path %q is not below the working directory", c.Path)
	case c.Name != "" && (!filepath.IsLocal(c.Name) || filepath.Base(c.Name) != c.Name):
		return fmt.Errorf("%q cannot be the name of a checkpoint", c.Name)
	}
	return nil
}

// outputDir is the directory that is committed on success, "" for none.
func (t *attempt) outputDir() string {
	if o := t.job.Execution.Output; o != nil {
		return filepath.Join(t.work, o.Path)
	}
	return ""
}

// inputDir holds the outputs of an upstream task.
func (t *attempt) inputDir(task string) string {
	return filepath.Join(t.dir, "inputs", task)
}

func (t *attempt) layInputs(ctx context.Context) error {
	for _, input := range t.job.Inputs {
		dir := t.inputDir(input.Task)
		if input.Array {
			dir = filepath.Join(dir, strconv.Itoa(input.Index))
		}
		if input.Manifest.Key == "" {
			if err := os.MkdirAll(dir, 0o755); err != nil {
				return err
			}
			continue
		}
		what := fmt.Sprintf("the output of %s[%d]", input.Task, input.Index)
		if err := t.fetch(ctx, what, manifestRef(input.Manifest), dir); err != nil {
			return err
		}
	}
	return nil
}

// layWorkdir makes the working directory: a copy of the one that is prepared
// once on this instance.
func (t *attempt) layWorkdir(ctx context.Context) error {
	setup := t.expandAll(t.job.Execution.Setup)
	if t.job.Workdir == nil && len(setup) == 0 {
		if err := os.Mkdir(t.work, 0o755); !errors.Is(err, fs.ErrExist) {
			return err
		}
		return nil // it came with a spare folder
	}
	prepared, err := t.agent.workdirs.get(ctx, workdirKey(t.job.Workdir, setup), func(dir string) error {
		if err := t.fillWorkdir(ctx, dir); err != nil {
			return err
		}
		if len(setup) == 0 {
			return nil
		}
		t.setStep(job.StepSetup)
		defer t.setStep(job.StepPreparing)
		return t.runSetup(ctx, setup, dir)
	})
	if err != nil {
		return err
	}
	return copyTree(ctx, prepared, t.work)
}

func (t *attempt) fillWorkdir(ctx context.Context, dir string) error {
	if t.job.Workdir == nil {
		return os.MkdirAll(dir, 0o755)
	}
	return t.fetch(ctx, "the workdir", manifestRef(*t.job.Workdir), dir)
}

// restore puts the named checkpoints in place. One that cannot be restored ends
// the attempt: going on from nothing would bury it.
func (t *attempt) restore(ctx context.Context) error {
	if t.job.Restore == nil {
		return nil
	}
	for _, name := range t.job.Restore.Series() {
		ref, _ := t.job.Restore.Of(name)
		i := slices.IndexFunc(t.savers, func(s *saver) bool { return s.spec.Name == name })
		if i < 0 {
			return restoreFault(ref.Key, fmt.Errorf("checkpoint %s was to be restored, and the task has no such checkpoint directory", ref.Key))
		}
		if err := t.savers[i].restore(ctx, ref); err != nil {
			return err
		}
	}
	return nil
}

// restore puts the checkpoint that was named in place.
func (s *saver) restore(ctx context.Context, ref job.CheckpointRef) error {
	t, begun := s.t, time.Now()
	err := t.fetch(ctx, "checkpoint "+ref.Key, checkpointRef(ref), s.dir)
	var broken *checkpointing.Error
	switch {
	case err == nil:
	case errors.As(err, &broken) && broken.Code != checkpointing.CodeFull, errors.Is(err, bucket.ErrNotFound):
		return restoreFault(ref.Key, err)
	default:
		return err
	}
	if t.transparent != nil {
		if err := t.transparent.layFiles(ctx); err != nil {
			return err
		}
	}
	s.startFrom(ref)
	t.output.note("attempt %d on %s, restored checkpoint %s%d-%d (%s in %s)", t.id.Attempt, t.agent.instance,
		s.label(), ref.Attempt, ref.Sequence, window.Bytes(ref.Bytes), time.Since(begun).Round(time.Millisecond))
	return nil
}

// fetch restores a manifest into dir. A bucket that cannot be reached is tried
// again for a bounded time.
func (t *attempt) fetch(ctx context.Context, what string, ref checkpointing.Ref, dir string) error {
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return err
	}
	err := untilServed(ctx, t.agent.patience, func() error {
		return t.agent.engine.Restore(ctx, ref, dir, checkpointing.RestoreOptions{})
	})
	if err != nil {
		return fmt.Errorf("fetching %s: %w", what, err)
	}
	return nil
}

// untilServed repeats f while the bucket is unavailable or full, at most so
// long.
func untilServed(ctx context.Context, atMost time.Duration, f func() error) error {
	begun := time.Now()
	for pause := 100 * time.Millisecond; ; pause = min(2*pause, 5*time.Second) {
		err := f()
		if err == nil || !mayPass(err) || ctx.Err() != nil || time.Since(begun) > atMost {
			return err
		}
		timer := time.NewTimer(pause/2 + rand.N(pause))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		}
	}
}

// mayPass: the bucket failed in a way that may pass. It cannot be reached, or
// has no room until somebody makes some.
func mayPass(err error) bool {
	return errors.Is(err, bucket.ErrUnavailable) || errors.Is(err, bucket.ErrFull)
}

func manifestRef(m job.Manifest) checkpointing.Ref {
	return checkpointing.Ref{Key: m.Key, Digest: m.Digest, Bytes: m.Bytes, Files: m.Files}
}

func checkpointRef(c job.CheckpointRef) checkpointing.Ref {
	return checkpointing.Ref{
		Key: c.Key, ID: checkpointing.ID{Attempt: c.Attempt, Sequence: c.Sequence},
		Digest: c.Digest, Bytes: c.Bytes,
	}
}

// clean removes the attempt's folder. It goes under another name first, so
// that a large one holds up nothing.
func (t *attempt) clean() {
	gone := t.agent.trash.path()
	if t.plain() && t.agent.folders.keep(t.dir, t.work, gone) {
		return
	}
	if t.transparent != nil { // it may lie on another volume
		gone = t.dir + ".gone-" + t.agent.boot + "-" + filepath.Base(gone)
	}
	if err := os.Rename(t.dir, gone); err != nil {
		if !errors.Is(err, syscall.ENOENT) {
			t.log.Warn("the attempt's folder cannot be removed", "error", err)
		}
		return
	}
	t.agent.trash.remove(gone)
}
