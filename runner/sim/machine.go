package sim

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spotrelay/spotrelay/providers"
	"github.com/spotrelay/spotrelay/runner/agent"
	"github.com/spotrelay/spotrelay/runner/agent/bootstrap"
	"github.com/spotrelay/spotrelay/runner/agent/notice"
	"github.com/spotrelay/spotrelay/runner/job"
	"github.com/spotrelay/spotrelay/runner/sweep"
)

// runAgent runs the real agent on a simulated machine, until it leaves, dies or
// the machine is taken.
func (w *World) runAgent(ctx context.Context, m *machine) {
	name := "agent of " + m.ID
	config, err := bootstrap.Decode(m.request.Bootstrap.Environment[bootstrap.VarConfig])
	if err != nil {
		w.violated("%s: %v", name, err)
		return
	}
	home, err := w.tempHome(m)
	if err != nil {
		w.violated("%s: %v", name, err)
		return
	}
	defer os.RemoveAll(home)
	life, kill := context.WithCancel(ctx)
	defer kill()
	a := newActor(w, agentKind, name, kill)
	w.haunt(life, a)
	it, err := agent.New(agent.Options{
		Config: config, Instance: m.ID, Home: home, Version: "sim",
		Bucket: &storage{actor: a, under: w.bucket}, Logger: w.logger(name),
		Environ: []string{"PATH=/usr/bin:/bin"},
		Rig: &agent.Rig{
			Start:   func(c *agent.RigCommand) { w.work.Go(func() { w.runTask(life, m, c) }) },
			Look:    w.seed.span(10*time.Second, 2*time.Minute, "look", m.ID),
			Notices: func(ctx context.Context, emit func(notice.Event)) { m.watch(ctx, emit) },
		},
	})
	if err != nil {
		w.violated("%s: %v", name, err)
		return
	}
	err = it.Run(life)
	w.tell("%s ends: %v", name, err)
	if !a.gone() && life.Err() == nil {
		w.cloud.over(m, providers.EndFromInside) // as Leave says
	}
}

// haunt lets an agent die, or fall silent and come back.
func (w *World) haunt(ctx context.Context, a *actor) {
	dies, hangs := w.seed.wait(w.faults().AgentDies, "dies", a.name), w.seed.wait(w.faults().AgentSilent, "silent", a.name)
	w.work.Go(func() {
		if dies < stormy && w.wait(ctx, dies) && w.faults().AgentDies > 0 {
			_ = a.die("dies")
		}
	})
	w.work.Go(func() {
		if hangs < stormy && w.wait(ctx, hangs) && w.faults().AgentSilent > 0 {
			a.pause(w.seed.span(0, time.Hour, "silence", a.name), false)
		}
	})
}

// watch tells an agent what the machine's metadata service says.
func (m *machine) watch(ctx context.Context, emit func(notice.Event)) {
	for {
		select {
		case n := <-m.notices:
			emit(notice.Event{Source: "sim", Kind: job.NoticeInterruption, Notice: n})
		case <-ctx.Done():
			return
		}
	}
}

// Work is what a simulated task does: so many epochs, each of so long; each
// is written to the checkpoint directory. It is given as the command's
// arguments.
type taskWork struct {
	Epochs int           `json:"epochs"`
	Epoch  time.Duration `json:"epoch"`
}

const progressFile = "epoch"

// command is the work as a command.
func (t taskWork) command() []string {
	data, _ := json.Marshal(t) // of two numbers
	return []string{"true", string(data)}
}

// runTask does a task's work as a program of the field does: it goes on from
// what it finds, and ends with 75 when it was told to stop.
func (w *World) runTask(ctx context.Context, m *machine, c *agent.RigCommand) {
	env := map[string]string{}
	for _, variable := range c.Env {
		name, value, _ := strings.Cut(variable, "=")
		env[name] = value
	}
	id := job.AttemptID{Task: env["SPOTRELAY_TASK"]}
	id.Index, _ = strconv.Atoi(env["SPOTRELAY_INDEX"]) // what is none is seen as never assigned
	id.Attempt, _ = strconv.Atoi(env["SPOTRELAY_ATTEMPT"])
	var work taskWork
	if err := json.Unmarshal([]byte(c.Argv[1]), &work); err != nil {
		w.violated("the command of %v is %q", id, c.Argv)
	}
	w.witness.started(id, m)
	checkpoints := env["SPOTRELAY_CHECKPOINT_DIR"]
	done := 0
	if checkpoints != "" {
		done = w.readProgress(id, checkpoints)
	}
	w.witness.resumed(id, done)
	f := w.faults()
	fails := w.seed.happens(f.TaskFails, "task fails", id)
	memory := w.seed.happens(f.OutOfMemory, "memory", id)
	for ; done < work.Epochs; done++ {
		select {
		case <-time.After(work.Epoch):
		case sig := <-c.Signals:
			switch {
			case sig == syscall.SIGKILL:
				return
			case !w.seed.happens(f.WrapsUp, "wraps up", id):
				c.End(exit(job.ExitSaved))
				return
			}
			done = work.Epochs - 1 // it has little left to do
		case <-ctx.Done():
			c.End(syscall.WaitStatus(syscall.SIGKILL))
			return
		}
		switch {
		case fails && done >= work.Epochs/2:
			c.End(exit(1))
			return
		case memory && done >= work.Epochs/2:
			c.End(syscall.WaitStatus(syscall.SIGKILL))
			return
		}
		if checkpoints != "" {
			w.writeFile(filepath.Join(checkpoints, progressFile), done+1)
		}
	}
	out := env["SPOTRELAY_OUTPUT_DIR"]
	switch {
	case out == "":
	case w.seed.happens(f.NoOutput, "no output", id):
		_ = os.RemoveAll(out)
		c.End(exit(0))
		return
	default:
		w.writeFile(filepath.Join(out, "result"), work.Epochs)
	}
	w.witness.finished(id)
	c.End(exit(0))
}

func exit(code int) syscall.WaitStatus { return syscall.WaitStatus(code << 8) }

// readProgress is how many epochs lie in a checkpoint directory.
func (w *World) readProgress(id job.AttemptID, dir string) int {
	data, err := os.ReadFile(filepath.Join(dir, progressFile))
	if err != nil {
		return 0
	}
	n, err := strconv.Atoi(string(data))
	if err != nil {
		w.violated("the checkpoint of %v is not whole: %q", id, data)
	}
	return n
}

// writeFile replaces a file as careful programs do.
func (w *World) writeFile(path string, n int) {
	fresh := path + ".new"
	if err := os.WriteFile(fresh, fmt.Append(nil, n), 0o600); err == nil {
		_ = os.Rename(fresh, path) // the attempt may have ended meanwhile
	}
}

// sweep does what `spotrelay gc` does.
func (w *World) sweep() {
	a := newActor(w, agentKind, "gc", func() {})
	_, err := sweep.Collect(w.ctx, sweep.Options{
		Bucket: &storage{actor: a, under: w.bucket}, Providers: &api{actor: a, cloud: w.cloud},
		Fleets: w.spec.Fleets, KeepChunks: true,
	})
	if err != nil && w.ctx.Err() == nil {
		w.tell("the sweep failed: %v", err)
	}
}
