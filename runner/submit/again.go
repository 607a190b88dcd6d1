package submit

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spotrelay/spotrelay/checkpointing"
	"github.com/spotrelay/spotrelay/checkpointing/bucket"
	"github.com/spotrelay/spotrelay/runner/job"
	"github.com/spotrelay/spotrelay/runner/store"
)

// AgainOptions says which run to submit again.
type AgainOptions struct {
	Bucket bucket.Bucket
	Run    string // the earlier one
	// Change what may differ, in the new run's specification; may be nil.
	Change func(*job.Spec) error
	// Agents and Version are for a run whose agent programs are no longer in
	// the bucket; where they are there, they are used. Nil: they must be.
	Agents  map[string]string
	Version string
	// Now and Entropy make the run's id; zero are the clock and the system's
	// random source.
	Now     time.Time
	Entropy io.Reader
}

// Rerun submits the specification of an earlier run as a new one: the same
// files, inputs, agent programs and seeds. It takes nothing over. Errors: those
// of the bucket and of checkpointing, and Change's. Repeating it makes another
// run.
func Rerun(ctx context.Context, opts AgainOptions) (*job.Spec, error) {
	spec, err := store.ReadSpec(ctx, opts.Bucket, opts.Run)
	if err != nil {
		return nil, err
	}
	if spec, err = again(ctx, opts, spec); err != nil {
		return nil, err
	}
	return spec, commit(ctx, opts.Bucket, spec)
}

// again is the specification of a new run with the earlier one's files.
func again(ctx context.Context, opts AgainOptions, earlier *job.Spec) (*job.Spec, error) {
	spec := *earlier
	spec.Tasks = slices.Clone(earlier.Tasks)
	now, entropy := opts.Now, opts.Entropy
	if now.IsZero() {
		now = time.Now()
	}
	if entropy == nil {
		entropy = rand.Reader
	}
	// Its id comes after the earlier one's on whatever clock, so that a
	// collection sees what is copied before its copy.
	if after := earlier.Created.Add(time.Millisecond); now.Before(after) {
		now = after
	}
	var err error
	if spec.Run, err = job.NewRunID(now, entropy); err != nil {
		return nil, fmt.Errorf("making the run's id: %w", err)
	}
	spec.Created, spec.Recovery = now.UTC(), nil
	if opts.Change != nil {
		if err := opts.Change(&spec); err != nil {
			return nil, err
		}
	}
	if spec.Agent, err = sameAgents(ctx, opts, earlier.Agent); err != nil {
		return nil, err
	}
	if spec.Workdir != nil {
		if spec.Workdir, err = ownCopy(ctx, opts.Bucket, earlier.Run, spec.Run, *spec.Workdir); err != nil {
			return nil, fmt.Errorf("the workdir of run %s: %w", earlier.Run, err)
		}
	}
	spec.Inputs = slices.Clone(spec.Inputs)
	for i := range spec.Inputs {
		input := &spec.Inputs[i]
		manifest, err := ownCopy(ctx, opts.Bucket, earlier.Run, spec.Run, input.Manifest)
		if err != nil {
			return nil, fmt.Errorf("input %s of run %s: %w", input.Name, earlier.Run, err)
		}
		input.Manifest = *manifest
	}
	return &spec, nil
}

// ownCopy is a run's own copy of an earlier run's manifest, at the same place
// below its prefix.
func ownCopy(ctx context.Context, b bucket.Bucket, from, to string, manifest job.Manifest) (*job.Manifest, error) {
	name, ok := strings.CutPrefix(manifest.Key, store.RunPrefix(from))
	if !ok {
		return &manifest, nil // it is no run's own
	}
	ref, err := checkpointing.CopyManifest(ctx, b, checkpointing.Ref{Key: manifest.Key, Digest: manifest.Digest}, store.RunPrefix(to)+name)
	if err != nil {
		return nil, err
	}
	return store.ManifestRef(ref), nil
}

// sameAgents are the earlier run's agent programs, or, where the bucket has not
// all of them any more, the ones at hand.
func sameAgents(ctx context.Context, opts AgainOptions, programs map[string]job.Program) (map[string]job.Program, error) {
	for _, platform := range slices.Sorted(maps.Keys(programs)) {
		there, err := published(ctx, opts.Bucket, programs[platform])
		if err != nil {
			return nil, err
		}
		if there {
			continue
		}
		if len(opts.Agents) == 0 {
			return nil, &Error{Op: "submit", What: "the agent for " + platform, Err: errors.New("it is not in the bucket any more"), Hint: "build it with make build"}
		}
		return publishAgents(ctx, Options{Bucket: opts.Bucket, Agents: opts.Agents, Version: opts.Version})
	}
	return programs, nil
}

// commit writes a run's specification, after the mark that it is live.
func commit(ctx context.Context, b bucket.Bucket, spec *job.Spec) error {
	if err := store.MarkLive(ctx, b, spec.Run); err != nil {
		return err
	}
	return store.WriteSpec(ctx, b, spec)
}
