//go:build unix

package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/spotrelay/spotrelay/runner/job"
)

// defaultFixedHome is where tasks that are dumped work. A restored process has
// the paths it had, so the folder is the same on every instance.
const defaultFixedHome = "/var/lib/spotrelay/tasks"

// transparent saves a task that knows nothing of it (checkpoint method criu):
// its processes are dumped, and with them a copy of the working directory as it
// was at that moment. The checkpoint directory holds
//
//	task.json   what a restore must know
//	images/     the processes, by CRIU
//	files/      the working directory
//
// It lies beside the working directory. A dump is written under another name
// and takes the directory's place when it is whole.
type transparent struct {
	t    *attempt
	criu *criu

	mu   sync.Mutex // one dump at a time
	tree *tree      // that can be dumped; nil before the start and after the end
}

// imageNote is task.json.
type imageNote struct {
	Version int    `json:"version"`
	IDs     []int  `json:"ids"`    // of its processes and threads, on every instance
	Output  string `json:"output"` // the name that its standard output had, "pipe:[4711]"
}

const (
	imageVersion  = 1
	imageNoteFile = "task.json"
	imagesFolder  = "images"
	filesFolder   = "files"
)

// fixedDir is the attempt's folder for a task that is dumped: the same for all
// attempts of an index, and short, since a socket lies in it.
func fixedDir(home, run string, id job.AttemptID) string {
	sum := fnv.New64a()
	fmt.Fprintf(sum, "%s/%s/%d", run, id.Task, id.Index)
	return filepath.Join(home, fmt.Sprintf("%016x", sum.Sum64()))
}

// ready sees whether this instance can dump at all, and ends what an earlier
// life of the agent may have left running of the task.
func (x *transparent) ready(ctx context.Context) error {
	env := x.t.setupEnvironment()
	path, err := findCRIU(env["PATH"])
	if err != nil {
		return startFault(err)
	}
	x.criu = &criu{path: path, processes: x.t.agent.processes, work: filepath.Join(x.t.dir, "criu.log"), environ: x.t.agent.taskEnvironment.list()}
	if err := x.criu.check(ctx); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return startFault(err)
	}
	return nil
}

// running says which tree is to be dumped from now on; nil: none any more.
func (x *transparent) running(tr *tree) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.tree = tr
}

// dump writes the tree as it is now, to be saved next. With keep it stays
// stopped, else it goes on.
func (x *transparent) dump(ctx context.Context, keep bool) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.tree == nil {
		return nil
	}
	staging, next := x.t.checkpointDir()+".new", x.t.checkpointDir()+".next"
	if err := os.RemoveAll(staging); err != nil {
		return err
	}
	images := filepath.Join(staging, imagesFolder)
	if err := os.MkdirAll(images, 0o700); err != nil {
		return err
	}
	err := x.stopAndCopy(ctx, staging)
	if !keep || err != nil {
		x.resume()
	}
	if err != nil {
		os.RemoveAll(staging)
		return err
	}
	if err := os.RemoveAll(next); err != nil {
		return err
	}
	return os.Rename(staging, next)
}

// stopAndCopy dumps the processes and copies the files while they stand still.
func (x *transparent) stopAndCopy(ctx context.Context, staging string) error {
	tr := x.tree
	begun := time.Now()
	if err := x.criu.dump(ctx, tr.process.pid, filepath.Join(staging, imagesFolder)); err != nil {
		return fmt.Errorf("the task's processes could not be dumped: %w", err)
	}
	if err := copyTree(ctx, x.t.work, filepath.Join(staging, filesFolder)); err != nil {
		return fmt.Errorf("copying the working directory: %w", err)
	}
	note, err := json.Marshal(imageNote{Version: imageVersion, IDs: threads(x.members()), Output: tr.outputName})
	if err != nil {
		return err
	}
	x.t.log.Info("dumped the task", "elapsed", time.Since(begun))
	return os.WriteFile(filepath.Join(staging, imageNoteFile), append(note, '\n'), 0o600)
}

// resume lets the tree go on.
func (x *transparent) resume() {
	x.tree.process.signal(syscall.SIGCONT)
	for _, pid := range x.members() {
		_ = syscall.Kill(pid, syscall.SIGCONT)
	}
}

// members are the tree's processes.
func (x *transparent) members() []int {
	pids := append(strays(x.tree.process.pid, x.t.marker()), living(x.tree.cgroup.pids())...)
	slices.Sort(pids)
	return slices.Compact(pids)
}

// settle puts the newest dump in the place of the checkpoint directory. It is
// called while nothing reads that one.
func (x *transparent) settle() error {
	x.mu.Lock()
	defer x.mu.Unlock()
	dir := x.t.checkpointDir()
	next := dir + ".next"
	if _, err := os.Lstat(next); err != nil {
		return nil // nothing was dumped since
	}
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	return os.Rename(next, dir)
}

// refresh dumps a tree that runs, and puts the newest dump in place.
func (x *transparent) refresh(ctx context.Context) error {
	if err := x.dump(ctx, false); err != nil {
		return err
	}
	return x.settle()
}

// dumped reports whether there is anything to save.
func (x *transparent) dumped() bool {
	for _, dir := range []string{x.t.checkpointDir(), x.t.checkpointDir() + ".next"} {
		if _, err := os.Lstat(filepath.Join(dir, imageNoteFile)); err == nil {
			return true
		}
	}
	return false
}

// layFiles makes the working directory what it was at the dump.
func (x *transparent) layFiles(ctx context.Context) error {
	if err := os.RemoveAll(x.t.work); err != nil {
		return err
	}
	if err := copyTree(ctx, filepath.Join(x.t.checkpointDir(), filesFolder), x.t.work); err != nil {
		return restoreFault("", fmt.Errorf("the working directory of the checkpoint: %w", err))
	}
	return nil
}

// start makes the processes of the restored checkpoint anew.
func (x *transparent) start() (*tree, error) {
	dir := x.t.checkpointDir()
	data, err := os.ReadFile(filepath.Join(dir, imageNoteFile))
	if err != nil {
		return nil, restoreFault("", fmt.Errorf("the checkpoint is none of method criu: %w", err))
	}
	var note imageNote
	if err := json.Unmarshal(data, &note); err != nil || note.Version != imageVersion {
		return nil, restoreFault("", fmt.Errorf("%s of the checkpoint cannot be read (version %d, this agent knows %d): %w", imageNoteFile, note.Version, imageVersion, errors.Join(err, errImageVersion)))
	}
	if err := awaitFree(x.t.preparing, note.IDs); err != nil {
		return nil, err
	}
	tr, err := x.t.spawnBy(command{}, "task", func(c command) (*process, error) {
		claim, done := x.t.agent.processes.expect()
		defer done()
		pid, err := x.criu.restore(x.t.preparing, filepath.Join(dir, imagesFolder), note.Output, c.output, c.cgroup)
		if err != nil {
			return nil, err
		}
		return claim(pid), nil
	})
	if err != nil {
		if x.t.preparing.Err() != nil {
			return nil, x.t.preparing.Err()
		}
		return nil, restoreFault("", fmt.Errorf("the task's processes could not be restored: %w; "+
			"the instance must have the same programs and libraries, and a processor that has what the one before had", err))
	}
	return tr, nil
}

var errImageVersion = errors.New("it was made by another version of spotrelay")

// firstPID is where the task's process ids begin: in the upper half, the same
// on every instance, where an instance that just started has none. CRIU can
// restore a process under its own id only.
func firstPID(id job.AttemptID) int {
	data, err := os.ReadFile("/proc/sys/kernel/pid_max")
	if err != nil {
		return 0
	}
	highest, err := strconv.Atoi(string(data[:max(0, len(data)-1)]))
	if err != nil || highest < 4096 {
		return 0
	}
	sum := fnv.New32a()
	fmt.Fprintf(sum, "%s/%d", id.Task, id.Index)
	half := highest / 2
	return half + int(sum.Sum32()%uint32(half-1024))
}

// freeFor is how long the restore waits for the ids to be free.
const freeFor = 20 * time.Second

// awaitFree waits until no process or thread has one of the ids. One that has
// just been killed has its own until its parent has seen that.
func awaitFree(ctx context.Context, ids []int) error {
	ctx, cancel := context.WithTimeout(ctx, freeFor)
	defer cancel()
	look := time.NewTicker(20 * time.Millisecond)
	defer look.Stop()
	for _, id := range ids {
		for syscall.Kill(id, 0) != syscall.ESRCH {
			select {
			case <-look.C:
			case <-ctx.Done():
				if !errors.Is(ctx.Err(), context.DeadlineExceeded) {
					return ctx.Err()
				}
				return restoreFault("", fmt.Errorf("the task's processes could not be restored: a process of this instance has the id %d, which one of them had", id))
			}
		}
	}
	return nil
}

// freeze dumps the task and ends it, which takes the place of the signal. It is
// false when that did not work, and the task is to be told as others are.
func (t *attempt) freeze(p *process, stops []stop) bool {
	if t.transparent == nil {
		return false
	}
	ctx, cancel := context.WithCancel(t.agent.life)
	if _, deadline := t.told(); !deadline.IsZero() {
		ctx, cancel = context.WithDeadline(t.agent.life, deadline)
	}
	defer cancel()
	t.setStep(job.StepStopping)
	begun := time.Now()
	if err := t.transparent.dump(ctx, true); err != nil {
		t.warn("%s: the task was not dumped, the checkpoint before stays: %v", stopText(stops[0]), err)
		t.output.note("it was not dumped, the checkpoint before stays: %v", err)
		return false
	}
	t.record(func(end *job.AttemptEnd) { end.SignalSent = true })
	t.frozen = true
	t.output.note("%s: dumped in %s, and ended", stopText(stops[0]), time.Since(begun).Round(time.Millisecond))
	p.signal(syscall.SIGKILL)
	t.mu.Lock()
	cg := t.cgroup
	t.mu.Unlock()
	cg.kill()
	return true
}
