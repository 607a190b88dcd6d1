// Package sweep finds what no live run answers for: instances that bear this
// bucket's tag though their run is over, and chunks that no manifest names. It
// trusts the journal alone: a lease that expired, or a bucket that cannot be
// read, proves nothing.
package sweep

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"slices"
	"time"

	"github.com/spotrelay/spotrelay/checkpointing"
	"github.com/spotrelay/spotrelay/checkpointing/bucket"
	"github.com/spotrelay/spotrelay/providers"
	"github.com/spotrelay/spotrelay/runner/job"
	"github.com/spotrelay/spotrelay/runner/plan"
	"github.com/spotrelay/spotrelay/runner/store"
)

// Providers gives providers by their names.
type Providers interface {
	Provider(ctx context.Context, name string) (providers.Provider, error)
}

// Options says where to look.
type Options struct {
	Bucket    bucket.Bucket
	Providers Providers
	Fleets    []job.Fleet
	Log       *slog.Logger // nil: none
	// Grace of the collection of chunks: longer than any save may last.
	// 0 is DefaultGrace.
	Grace time.Duration
	// DryRun tells what would be done and does nothing.
	DryRun bool
	// KeepChunks leaves the chunks alone and collects instances only.
	KeepChunks bool
}

// DefaultGrace of a collection.
const DefaultGrace = time.Hour

// Standing is what the journal says of an instance.
type Standing string

const (
	// StandingLive: its run is not over and counts it.
	StandingLive Standing = "live"
	// StandingOver: its run is over.
	StandingOver Standing = "run-over"
	// StandingClosed: its launch intent was closed without it.
	StandingClosed Standing = "intent-closed"
	// StandingUnclaimed: its run lives and has not taken it up yet.
	StandingUnclaimed Standing = "unclaimed"
	// StandingUnknown: its run is not in the bucket, or cannot be read. It is
	// left alone.
	StandingUnknown Standing = "unknown"
)

// Found is an instance that bears the bucket's tag.
type Found struct {
	Fleet    string             `json:"fleet"`
	Instance providers.Instance `json:"instance"`
	Run      string             `json:"run,omitempty"`
	Intent   string             `json:"intent,omitempty"`
	Standing Standing           `json:"standing"`
	// Leaked: the journal proves that nobody answers for it.
	Leaked bool   `json:"leaked"`
	Ended  bool   `json:"ended,omitempty"` // Collect ended it
	Reason string `json:"reason"`          // one sentence for people
}

// Audit lists the instances in the fleets that bear this bucket's tag and have
// not ended, each with its standing, in order of fleet, run and id. It changes
// nothing. A fleet that cannot be listed is an error beside what the others
// gave. May be repeated.
func Audit(ctx context.Context, opts Options) ([]Found, error) {
	identity, err := bucket.Identify(ctx, opts.Bucket)
	if err != nil {
		return nil, err
	}
	found, errs := list(ctx, opts, identity.ID)
	judge := judge{ctx: ctx, b: opts.Bucket, states: map[string]*verdict{}}
	for i := range found {
		judge.stand(&found[i])
	}
	slices.SortFunc(found, func(a, b Found) int {
		return cmp.Or(cmp.Compare(a.Fleet, b.Fleet), cmp.Compare(a.Run, b.Run), cmp.Compare(a.Instance.ID, b.Instance.ID))
	})
	return found, errors.Join(errs...)
}

// list is all instances that are not terminated, each once: fleets may share a
// region, and then the one that an instance names has it.
func list(ctx context.Context, opts Options, bucketID string) (found []Found, errs []error) {
	at := map[[2]string]int{} // provider and id
	for _, fleet := range opts.Fleets {
		instances, err := listFleet(ctx, opts, fleet, bucketID)
		if err != nil {
			errs = append(errs, fmt.Errorf("fleet %s: %w", fleet.Name, err))
			continue
		}
		for _, instance := range instances {
			if instance.State == providers.StateTerminated || instance.Tags[providers.TagBucket] != bucketID {
				continue
			}
			f := Found{
				Fleet: fleet.Name, Instance: instance,
				Run: instance.Tags[providers.TagRun], Intent: instance.Tags[providers.TagIntent],
			}
			key := [2]string{fleet.Provider, instance.ID}
			if i, twice := at[key]; twice {
				if instance.Tags[providers.TagFleet] == fleet.Name {
					found[i] = f
				}
				continue
			}
			at[key] = len(found)
			found = append(found, f)
		}
	}
	return found, errs
}

func listFleet(ctx context.Context, opts Options, fleet job.Fleet, bucketID string) ([]providers.Instance, error) {
	provider, err := opts.Providers.Provider(ctx, fleet.Provider)
	if err != nil {
		return nil, err
	}
	return provider.List(ctx, providers.Fleet{Name: fleet.Name, Config: fleet.Config}, map[string]string{providers.TagBucket: bucketID})
}

// judge reads each run once, after the listing: so a launch that the listing
// shows is in the journal that it reads, or its intent is still open.
type judge struct {
	ctx    context.Context
	b      bucket.Bucket
	states map[string]*verdict
}

type verdict struct {
	state *plan.State
	err   error
}

func (j *judge) stand(f *Found) {
	known := j.states[f.Run]
	if known == nil {
		known = &verdict{}
		known.state, _, known.err = store.LoadRun(j.ctx, j.b, f.Run)
		j.states[f.Run] = known
	}
	f.Standing, f.Reason = standing(known, f)
	f.Leaked = f.Standing == StandingOver || f.Standing == StandingClosed
}

func standing(known *verdict, f *Found) (Standing, string) {
	state := known.state
	switch {
	case errors.Is(known.err, bucket.ErrNotFound):
		return StandingUnknown, "its run is not in this bucket; end it by hand if you know that nobody needs it"
	case known.err != nil:
		return StandingUnknown, "its run cannot be read: " + known.err.Error()
	case state.Closed || state.Outcome != "":
		return StandingOver, "its run is over: " + string(state.Outcome)
	case state.Instances[f.Instance.ID] != nil:
		return StandingLive, "its run counts it"
	}
	if _, closed := state.Past[f.Intent]; closed {
		return StandingClosed, "its launch was closed without it, or it was given up"
	}
	return StandingUnclaimed, "its run lives and has yet to take it up"
}

// Collected is what a collection found and did.
type Collected struct {
	Instances []Found                     `json:"instances"`
	Chunks    checkpointing.CollectResult `json:"chunks"`
}

// Collect ends the instances that Audit calls leaked, and then removes the
// chunks that no manifest names, which takes as long as the grace. What one
// part cannot do doesn't keep the others from their work; the error tells of
// all. May be repeated.
func Collect(ctx context.Context, opts Options) (Collected, error) {
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	found, err := Audit(ctx, opts)
	result := Collected{Instances: found}
	errs := []error{err}
	if !opts.DryRun {
		errs = append(errs, end(ctx, opts, found)...)
	}
	if !opts.KeepChunks && ctx.Err() == nil {
		result.Chunks, err = collectChunks(ctx, opts)
		errs = append(errs, err)
	}
	return result, errors.Join(errs...)
}

// end terminates what is leaked, a fleet at a time.
func end(ctx context.Context, opts Options, found []Found) (errs []error) {
	for _, fleet := range opts.Fleets {
		var ids []string
		for _, f := range found {
			if f.Leaked && f.Fleet == fleet.Name {
				ids = append(ids, f.Instance.ID)
			}
		}
		if len(ids) == 0 {
			continue
		}
		provider, err := opts.Providers.Provider(ctx, fleet.Provider)
		if err == nil {
			err = provider.Terminate(ctx, providers.Fleet{Name: fleet.Name, Config: fleet.Config}, ids)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("fleet %s: %w", fleet.Name, err))
			continue
		}
		for i := range found {
			found[i].Ended = found[i].Ended || found[i].Leaked && found[i].Fleet == fleet.Name
		}
		opts.Log.Info("ended leaked instances", "fleet", fleet.Name, "instances", ids)
	}
	return errs
}

func collectChunks(ctx context.Context, opts Options) (checkpointing.CollectResult, error) {
	grace := opts.Grace
	if grace == 0 {
		grace = DefaultGrace
	}
	return checkpointing.Open(opts.Bucket).Collect(ctx, checkpointing.CollectOptions{
		Roots: func(ctx context.Context) iter.Seq2[string, error] { return store.Roots(ctx, opts.Bucket) },
		Grace: grace, DryRun: opts.DryRun,
	})
}
