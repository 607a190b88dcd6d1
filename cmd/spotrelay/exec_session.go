package main

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/spotrelay/spotrelay/checkpointing/bucket"
	"github.com/spotrelay/spotrelay/runner/job"
	"github.com/spotrelay/spotrelay/runner/plan"
	"github.com/spotrelay/spotrelay/runner/store"
)

const (
	// execGrace is how long an answer may take from an instance that is gone or
	// goes, for what it had sent before.
	execGrace = 10 * time.Second
	// execSilence is how long an instance may be silent before it is given up,
	// beside its heartbeats.
	execSilence = time.Minute
	// execLook is how often the instance is looked at.
	execLook = 2 * time.Second
	// execTidy bounds the removal of what the command left in the bucket.
	execTidy = 20 * time.Second
)

// execSession is one command, from the request to its end.
type execSession struct {
	app    *app
	bucket bucket.Bucket
	run    string
	state  *plan.State
	at     store.Position
	target execTarget
	flags  execFlags

	id     string
	result *job.ExecResult

	looked time.Time // at the instance
	boot   string    // the agent's life
	beat   int64
	heard  time.Time // when the beat rose
	lost   time.Time // when the instance was seen to be gone; zero: it is not
	why    string
	ended  bool // by an interrupt
}

// execJSON is what exec --json prints.
type execJSON struct {
	Version int    `json:"version"`
	Run     string `json:"run"`
	job.AttemptID
	Instance string  `json:"instance"`
	ExitCode int     `json:"exit_code"`
	Signal   string  `json:"signal,omitempty"`
	Fault    string  `json:"fault,omitempty"`
	Elapsed  float64 `json:"elapsed_seconds"`
	Dropped  int64   `json:"dropped_bytes,omitempty"`
	Stdout   string  `json:"stdout"`
	Stderr   string  `json:"stderr"`
}

// begin asks for the command, shows what it writes, and is its end.
func (s *execSession) begin(ctx context.Context, command []string) error {
	stopping := interrupted(ctx)
	s.id = strings.ToLower(rand.Text())
	request := job.ExecRequest{
		ID: s.id, AttemptID: s.target.AttemptID, Command: command, Timeout: job.Duration(s.flags.timeout),
		By: whoAmI(), Written: time.Now().UTC(),
	}
	if err := store.AddExec(ctx, s.bucket, s.run, s.target.instance, request); err != nil {
		return err
	}
	defer s.tidy(ctx)
	var stdout, stderr bytes.Buffer
	out, errs := s.app.stdout, s.app.stderr
	if s.app.json {
		out, errs = &stdout, &stderr
	}
	if err := s.follow(ctx, out, errs, stopping); err != nil {
		return err
	}
	if s.ended {
		fmt.Fprintln(s.app.stderr, "interrupted")
		return exitWith(exitInterrupted)
	}
	if s.result == nil {
		return &failure{err: fmt.Errorf("%s: how the command ended is not known", s.why), hint: "spotrelay attempts " + s.run + " " + s.target.Task + " shows what became of the task"}
	}
	return s.report(stdout.String(), stderr.String())
}

// follow shows both streams until the command has ended, or nothing more is to
// be expected.
func (s *execSession) follow(ctx context.Context, out, errs io.Writer, stopping <-chan struct{}) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	over := make(chan struct{})
	var streams sync.WaitGroup
	failed := make(chan error, 2)
	show := func(prefix string, to io.Writer) {
		streams.Go(func() {
			err := store.FollowLogAt(ctx, s.bucket, prefix, to, pollOf(s.bucket), func(context.Context) (bool, error) {
				select {
				case <-over:
					return true, nil
				default:
					return false, nil
				}
			})
			if err != nil {
				failed <- err
			}
		})
	}
	show(store.ExecOutPrefix(s.run, s.target.instance, s.id), out)
	show(store.ExecErrPrefix(s.run, s.target.instance, s.id), errs)
	err := s.await(ctx, stopping, failed)
	close(over)
	if err != nil {
		cancel()
	}
	streams.Wait()
	select {
	case showing := <-failed:
		err = cmp.Or(err, showing)
	default:
	}
	return err
}

// await waits for the result, or until there will be none.
func (s *execSession) await(ctx context.Context, stopping <-chan struct{}, failed <-chan error) error {
	ticker := time.NewTicker(pollOf(s.bucket))
	defer ticker.Stop()
	s.heard = time.Now()
	for {
		result, err := store.ReadExecResult(ctx, s.bucket, s.run, s.target.instance, s.id)
		switch {
		case err == nil:
			s.result = &result
			return nil
		case !errors.Is(err, bucket.ErrNotFound) && !errors.Is(err, bucket.ErrUnavailable):
			return err
		}
		if err := s.look(ctx); err != nil {
			return err
		}
		if !s.lost.IsZero() && time.Since(s.lost) > execGrace {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case err := <-failed:
			return err
		case <-stopping:
			// Its end is waited for, so that nothing of it is left.
			stopping, s.ended = nil, true
			if err := store.RemoveExec(ctx, s.bucket, s.run, s.target.instance, s.id); err != nil {
				return err
			}
			s.lost = time.Now()
		case <-ticker.C:
		}
	}
}

// look sees whether the instance is still there, by the journal and by its own
// status.
func (s *execSession) look(ctx context.Context) error {
	if !s.lost.IsZero() || time.Since(s.looked) < execLook {
		return nil
	}
	s.looked = time.Now()
	if _, err := store.CatchUp(ctx, s.bucket, s.run, s.state, &s.at); err != nil && !errors.Is(err, bucket.ErrUnavailable) {
		return err
	}
	status, _, err := store.ReadStatus(ctx, s.bucket, s.run, s.target.instance)
	if err != nil && !errors.Is(err, bucket.ErrNotFound) && !errors.Is(err, bucket.ErrUnavailable) {
		return err
	}
	if err == nil && (status.Beat != s.beat || status.Boot != s.boot) {
		if s.boot != "" && status.Boot != s.boot {
			s.lose("the agent on " + s.target.instance + " was started anew")
		}
		s.boot, s.beat, s.heard = status.Boot, status.Beat, time.Now()
	}
	switch {
	case s.state.Instances[s.target.instance] == nil:
		s.lose("the instance " + s.target.instance + " is gone")
	case err == nil && status.Phase == job.PhaseLeaving:
		s.lose("the instance " + s.target.instance + " ends")
	case time.Since(s.heard) > execSilence+2*s.state.Spec.Timing.Heartbeat.D():
		s.lose("the instance " + s.target.instance + " is not heard of any more")
	}
	return nil
}

// lose notes that no answer is to be expected.
func (s *execSession) lose(why string) {
	if s.lost.IsZero() {
		s.lost, s.why = time.Now(), why
	}
}

// report passes on how the command ended.
func (s *execSession) report(stdout, stderr string) error {
	r := s.result
	code := r.ExitCode
	switch {
	case r.Signal != "":
		code = 128 + signalNumber(r.Signal)
	case r.Fault != "" && code == 0:
		code = exitFailed
	}
	if s.app.json {
		err := s.app.printJSON(execJSON{
			Version: jsonVersion, Run: s.run, AttemptID: s.target.AttemptID, Instance: s.target.instance,
			ExitCode: code, Signal: r.Signal, Fault: r.Fault, Elapsed: r.Elapsed.D().Seconds(), Dropped: r.Dropped,
			Stdout: stdout, Stderr: stderr,
		})
		if err != nil {
			return err
		}
	}
	if r.Dropped > 0 {
		fmt.Fprintf(s.app.stderr, "spotrelay: the last %d bytes of the output were not kept\n", r.Dropped)
	}
	switch {
	case r.Refused:
		fmt.Fprintf(s.app.stderr, "spotrelay: the command was not run: %s\n", r.Fault)
	case r.Fault != "":
		fmt.Fprintf(s.app.stderr, "spotrelay: the command: %s\n", r.Fault)
	}
	return exitWith(code)
}

// tidy takes the request back and removes what was answered. What cannot be
// removed lies there as long as the run does, and does no harm.
func (s *execSession) tidy(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), execTidy)
	defer cancel()
	err := store.RemoveExec(ctx, s.bucket, s.run, s.target.instance, s.id)
	err = errors.Join(err, store.RemoveExecAnswer(ctx, s.bucket, s.run, s.target.instance, s.id))
	if err != nil {
		s.app.logger().Warn("what the command left in the bucket could not be removed", "error", err)
	}
}

// signalNumber is a signal's number by its name, as the agent's systems have
// it; 0 of another.
func signalNumber(name string) int {
	return map[string]int{
		"SIGHUP": 1, "SIGINT": 2, "SIGQUIT": 3, "SIGILL": 4, "SIGTRAP": 5, "SIGABRT": 6, "SIGBUS": 7, "SIGFPE": 8,
		"SIGKILL": 9, "SIGUSR1": 10, "SIGSEGV": 11, "SIGUSR2": 12, "SIGPIPE": 13, "SIGALRM": 14, "SIGTERM": 15,
	}[name]
}
