package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"time"

	"github.com/spotrelay/spotrelay/checkpointing"
	"github.com/spotrelay/spotrelay/checkpointing/bucket"
)

// agent is the engine as an agent has it: one process makes all the saves of a
// directory and remembers what it saw, and a restore is made by another one.
type agent struct{}

// Name tells it from the other row.
func (agent) Name() string { return warm }

// Open starts the process that saves.
func (agent) Open(ctx context.Context, at site) (repo, error) {
	return startEngine(ctx, at)
}

// engine is a process with an engine in it.
type engine struct {
	at      site
	command *exec.Cmd
	in      io.WriteCloser
	out     *json.Decoder
	saves   int64
	began   time.Time
	opened  float64 // seconds from its start until it was ready
	cpu     float64 // that opening took
}

// order is what the engine's process is told.
type order struct {
	Save    int64  `json:"save,omitempty"` // its sequence
	Restore bool   `json:"restore,omitempty"`
	Dir     string `json:"dir"`
}

// answer is what it says when it is ready, and after each order.
type answer struct {
	CPU   float64 `json:"cpu"` // seconds in all
	Error string  `json:"error,omitempty"`
}

func startEngine(ctx context.Context, at site) (*engine, error) {
	c, err := child(ctx, at, "own")
	if err != nil {
		return nil, err
	}
	c.Args = append(c.Args, at.address())
	c.Stderr = os.Stderr
	in, err := c.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := c.StdoutPipe()
	if err != nil {
		return nil, err
	}
	e := &engine{at: at, command: c, in: in, out: json.NewDecoder(out), began: time.Now()}
	if err := c.Start(); err != nil {
		return nil, err
	}
	var ready answer
	if err := e.hear(&ready); err != nil {
		return nil, firstError(err, e.Close())
	}
	e.opened, e.cpu = time.Since(e.began).Seconds(), ready.CPU
	return e, nil
}

func (e *engine) hear(a *answer) error {
	if err := e.out.Decode(a); err != nil {
		return fmt.Errorf("the engine's process ended: %w", err)
	}
	if a.Error != "" {
		return fmt.Errorf("the engine's process: %s", a.Error)
	}
	return nil
}

// do gives an order and measures it.
func (e *engine) do(o order) (usage, error) {
	started := time.Now()
	if err := json.NewEncoder(e.in).Encode(o); err != nil {
		return usage{}, err
	}
	var done answer
	err := e.hear(&done)
	u := usage{Seconds: time.Since(started).Seconds(), CPU: done.CPU - e.cpu, Peak: peakOf(e.command.Process.Pid)}
	e.cpu = done.CPU
	return u, err
}

// Save makes the next save; the process's start counts in the first one, as it
// does with the peers.
func (e *engine) Save(_ context.Context, dir string) (usage, error) {
	e.saves++
	before := usage{}
	if e.saves == 1 {
		before = usage{Seconds: e.opened, CPU: e.cpu}
	}
	u, err := e.do(order{Save: e.saves, Dir: dir})
	u.Seconds, u.CPU = u.Seconds+before.Seconds, u.CPU+before.CPU
	return u, err
}

// Restore restores in a process of its own.
func (e *engine) Restore(ctx context.Context, _, to string) (usage, error) {
	other, err := startEngine(ctx, e.at)
	if err != nil {
		return usage{}, err
	}
	before := usage{Seconds: other.opened, CPU: other.cpu}
	u, err := other.do(order{Restore: true, Dir: to})
	u.Seconds, u.CPU = u.Seconds+before.Seconds, u.CPU+before.CPU
	return u, firstError(err, other.Close())
}

// Close ends the process.
func (e *engine) Close() error {
	return firstError(e.in.Close(), e.command.Wait())
}

// serveEngine is the engine's process: it takes orders until its input ends.
func serveEngine(ctx context.Context, address string, in io.Reader, out io.Writer) error {
	say := json.NewEncoder(out)
	b, err := bucket.Open(ctx, address)
	if err != nil {
		return say.Encode(answer{Error: err.Error()})
	}
	defer b.Close()
	e := checkpointing.Open(b)
	if err := say.Encode(answer{CPU: processorTime()}); err != nil {
		return err
	}
	var last *checkpointing.Ref
	orders := json.NewDecoder(bufio.NewReader(in))
	for {
		var o order
		if err := orders.Decode(&o); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
		done := answer{}
		if err := obey(ctx, e, o, &last); err != nil {
			done.Error = err.Error()
		}
		done.CPU = processorTime()
		if err := say.Encode(done); err != nil {
			return err
		}
	}
}

func obey(ctx context.Context, e checkpointing.Engine, o order, last **checkpointing.Ref) error {
	if o.Restore {
		return restoreNewest(ctx, e, o.Dir)
	}
	ref, err := save(ctx, e, o.Dir, o.Save, *last)
	if err == nil {
		*last = &ref
	}
	return err
}
