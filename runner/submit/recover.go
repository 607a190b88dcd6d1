package submit

import (
	"context"
	"errors"

	"golang.org/x/sync/errgroup"

	"github.com/spotrelay/spotrelay/checkpointing"
	"github.com/spotrelay/spotrelay/checkpointing/bucket"
	"github.com/spotrelay/spotrelay/runner/job"
	"github.com/spotrelay/spotrelay/runner/plan"
	"github.com/spotrelay/spotrelay/runner/store"
)

// ErrLive: the run is not over, so it cannot be recovered.
var ErrLive = errors.New("it is not over")

// copiers is how many manifests are copied at once.
const copiers = 16

// Recovered is a run that recovers another one.
type Recovered struct {
	Spec *job.Spec
	// Passed is what could not be taken over.
	Passed []Passed
}

// Passed is something of an index that could not be taken over.
type Passed struct {
	Task   string `json:"task"`
	Index  int    `json:"index"`
	Reason string `json:"reason"` // for people
}

// Recover makes a new run of an earlier run's specification that takes over
// what that one has done: indexes that succeeded are not run again, whether by
// an attempt, from the cache or taken over themselves, and the others begin at
// their newest whole checkpoint. Tasks that run finally are run again, unless
// the run succeeded. What is damaged is passed over, and said in Passed.
//
// Budgets and costs begin anew. Errors: ErrLive (wrapped) for a run that is not
// over, and those of Rerun. Repeating it makes another run.
func Recover(ctx context.Context, opts AgainOptions) (*Recovered, error) {
	state, _, err := store.LoadRun(ctx, opts.Bucket, opts.Run)
	if err != nil {
		return nil, err
	}
	if !state.Finished() {
		return nil, &Error{Op: "recover", What: "run " + opts.Run, Err: ErrLive, Hint: "go on with it by spotrelay attach, or end it by spotrelay cancel"}
	}
	spec, err := again(ctx, opts, state.Spec)
	if err != nil {
		return nil, err
	}
	r := recovering{b: opts.Bucket, state: state, to: spec.Run}
	taken, err := r.takeAll(ctx)
	if err != nil {
		return nil, err
	}
	spec.Recovery = &job.Recovery{Run: opts.Run, Taken: taken}
	return &Recovered{Spec: spec, Passed: r.passed()}, commit(ctx, opts.Bucket, spec)
}

// recovering takes one run over into another.
type recovering struct {
	b     bucket.Bucket
	state *plan.State
	to    string
	jobs  []*taking
}

// taking is an index that is to be taken over.
type taking struct {
	task   *job.Task
	index  int
	x      *plan.IndexState
	taken  *job.Taken // nil: there is nothing of it
	passed []string   // why something of it could not be taken over
}

// takeAll is what can be taken over, by tasks and indexes.
func (r *recovering) takeAll(ctx context.Context) ([]job.Taken, error) {
	workers, ctx := errgroup.WithContext(ctx)
	workers.SetLimit(copiers)
	for i := range r.state.Tasks {
		task := &r.state.Spec.Tasks[i]
		if task.Finally && r.state.Outcome != plan.OutcomeSucceeded {
			continue // it is to come after what is done now
		}
		for j := range r.state.Tasks[i].Indexes {
			one := &taking{task: task, index: j, x: &r.state.Tasks[i].Indexes[j]}
			r.jobs = append(r.jobs, one)
			workers.Go(func() error { return r.take(ctx, one) })
		}
	}
	if err := workers.Wait(); err != nil {
		return nil, err
	}
	var taken []job.Taken
	for _, one := range r.jobs {
		if one.taken != nil {
			taken = append(taken, *one.taken)
		}
	}
	return taken, nil
}

func (r *recovering) passed() []Passed {
	var all []Passed
	for _, one := range r.jobs {
		for _, reason := range one.passed {
			all = append(all, Passed{Task: one.task.Name, Index: one.index, Reason: reason})
		}
	}
	return all
}

// take takes over that an index succeeded, or else its checkpoint.
func (r *recovering) take(ctx context.Context, one *taking) error {
	if one.x.Phase == plan.IndexSucceeded {
		err := r.succeeded(ctx, one)
		if !damaged(err) {
			return err
		}
		one.passed = append(one.passed, "its output cannot be taken over, so it runs again: "+err.Error())
	}
	if one.task.Execution.Checkpoint == nil || one.x.Next == 0 && one.x.Checkpoint == nil {
		return nil
	}
	return r.checkpoints(ctx, one)
}

// damaged tells what is no longer whole from what cannot be read now.
func damaged(err error) bool {
	for _, code := range []checkpointing.Code{checkpointing.CodeCorrupt, checkpointing.CodeMissing, checkpointing.CodeUnsafe} {
		if errors.Is(err, &checkpointing.Error{Code: code}) {
			return true
		}
	}
	return false
}

func (r *recovering) succeeded(ctx context.Context, one *taking) error {
	x := one.x
	taken := job.Taken{Task: one.task.Name, Index: one.index, Succeeded: true, Result: x.Result, Cached: x.Cached}
	switch {
	case x.Recovered != nil:
		taken.Run, taken.Attempt = x.Recovered.Run, x.Recovered.Attempt
	case x.Cached == nil && len(x.Attempts) > 0:
		taken.Attempt = x.Attempts[len(x.Attempts)-1].Attempt
	}
	if x.Output != nil {
		from := checkpointing.Ref{Key: x.Output.Key, Digest: x.Output.Digest}
		ref, err := checkpointing.CopyManifest(ctx, r.b, from, store.OutputKey(r.to, job.AttemptID{Task: one.task.Name, Index: one.index}))
		if err != nil {
			return err
		}
		taken.Output = store.ManifestRef(ref)
	}
	one.taken = &taken
	return nil
}
