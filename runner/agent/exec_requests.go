//go:build unix

package agent

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/spotrelay/spotrelay/runner/job"
	"github.com/spotrelay/spotrelay/runner/store"
)

const (
	// mostExecs run at once.
	mostExecs = 8
	// execPace is the shortest time between two looks for requests.
	execPace = time.Second
	// execFarewell bounds how long what users run holds up the agent's leaving.
	execFarewell = 3 * time.Second
)

// execs are the commands that users have run beside attempts.
type execs struct {
	agent *Agent

	mu      sync.Mutex
	leaving bool
	known   map[string]*requested // by id, those that the document has
	running int
}

type requested struct {
	end  context.CancelCauseFunc
	done chan struct{} // it is answered
}

// watchExecs looks for requests until the agent ends: half as often as for the
// desired document while there are none.
func (a *Agent) watchExecs() {
	poll := cmp.Or(orDefault(a.config.Timing.Poll, a.bucket.Describe().Poll), defaultPoll)
	version, failures := "", 0
	for {
		ctx, cancel := context.WithTimeout(a.life, callTimeout)
		found, seen, changed, err := store.ReadExecsUnless(ctx, a.bucket, a.config.Run, a.instance, version)
		cancel()
		pause := max(poll, execPace)
		switch {
		case err == nil:
			version, failures = seen, 0
			if changed {
				a.execs.take(found.Requests)
			}
			if a.execs.idle() {
				pause = max(2*poll, execPace)
			}
		case a.life.Err() == nil:
			if errors.Is(err, store.ErrCorrupt) || errors.Is(err, store.ErrVersion) {
				a.warn("what users want to run is not taken: %v", err)
				version = seen
			}
			failures++
			pause = pauseAfter(failures, pause, longestPoll)
		}
		if !sleep(a.life, pause) {
			return
		}
	}
}

// idle: nothing is asked for.
func (x *execs) idle() bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	return len(x.known) == 0
}

// take begins what is new, and ends what was taken back.
func (x *execs) take(requests []job.ExecRequest) {
	x.mu.Lock()
	defer x.mu.Unlock()
	wanted := map[string]bool{}
	for i := range requests {
		id := requests[i].ID
		wanted[id] = true
		if x.known[id] == nil && !x.leaving {
			x.begin(requests[i])
		}
	}
	for id, r := range x.known {
		if !wanted[id] {
			r.end(errTakenBack)
			delete(x.known, id)
		}
	}
}

// begin runs a request in the background, or says why not. Called with the lock
// held.
func (x *execs) begin(request job.ExecRequest) {
	ctx, end := context.WithCancelCause(x.agent.life)
	r := &requested{end: end, done: make(chan struct{})}
	x.known[request.ID] = r
	full := x.running >= mostExecs
	if !full {
		x.running++
	}
	go func() {
		defer close(r.done)
		defer end(nil)
		var result job.ExecResult
		if full {
			result = refused(fmt.Errorf("%d commands run on this instance by exec, which is the most", mostExecs))
		} else {
			result = x.execute(ctx, request)
			x.mu.Lock()
			x.running--
			x.mu.Unlock()
		}
		result.ID = request.ID
		x.answer(result)
	}()
}

func (x *execs) execute(ctx context.Context, request job.ExecRequest) job.ExecResult {
	a := x.agent
	a.mu.Lock()
	t := cmp.Or(a.running[request.AttemptID], a.kept[request.AttemptID])
	a.mu.Unlock()
	id := request.AttemptID
	if t == nil {
		return refused(fmt.Errorf("attempt %d of %s[%d] is not on this instance, or has ended", id.Attempt, id.Task, id.Index))
	}
	timeout := request.Timeout.D()
	if timeout <= 0 {
		timeout = execTimeout
	}
	ctx, cancel := context.WithTimeoutCause(ctx, timeout, errExecTimeout)
	defer cancel()
	t.log.Info("a user runs a command beside it", "by", request.By, "exec", request.ID, "command", request.Command)
	t.output.note("%s runs beside it: %q", cmp.Or(request.By, "somebody"), request.Command)
	return t.runBeside(ctx, request)
}

// answer writes the result, and tries again for a while.
func (x *execs) answer(result job.ExecResult) {
	a := x.agent
	err := repeat(a.life, func() error {
		ctx, cancel := context.WithTimeout(a.life, callTimeout)
		defer cancel()
		return store.WriteExecResult(ctx, a.bucket, a.config.Run, a.instance, result)
	})
	if err != nil {
		a.log.Warn("the end of a user's command could not be told", "exec", result.ID, "error", err)
	}
}

// leave ends all before the agent goes, and waits a short while until it is
// told.
func (x *execs) leave() {
	x.mu.Lock()
	x.leaving = true
	var all []*requested
	for _, r := range x.known {
		r.end(errLeaving)
		all = append(all, r)
	}
	x.mu.Unlock()
	ctx, cancel := context.WithTimeout(x.agent.life, execFarewell)
	defer cancel()
	for _, r := range all {
		select {
		case <-r.done:
		case <-ctx.Done():
		}
	}
}
