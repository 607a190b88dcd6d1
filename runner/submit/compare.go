package submit

import (
	"context"
	"fmt"
	"slices"

	"github.com/spotrelay/spotrelay/checkpointing"
	"github.com/spotrelay/spotrelay/checkpointing/bucket"
	"github.com/spotrelay/spotrelay/runner/job"
	"github.com/spotrelay/spotrelay/runner/store"
)

// FileChange is a file of a manifest that another one has otherwise.
type FileChange struct {
	Path string `json:"path"`
	// Change is "added", "removed" or "changed".
	Change string `json:"change"`
}

// FileChanges are the files in which two manifests differ, by path; nil is one
// without files. Errors as of checkpointing.Engine.Restore.
func FileChanges(ctx context.Context, b bucket.Bucket, from, to *job.Manifest) ([]FileChange, error) {
	was, err := contents(ctx, b, from)
	if err != nil {
		return nil, err
	}
	is, err := contents(ctx, b, to)
	if err != nil {
		return nil, err
	}
	var changes []FileChange
	for path, digest := range is {
		switch before, there := was[path]; {
		case !there:
			changes = append(changes, FileChange{path, "added"})
		case before != digest:
			changes = append(changes, FileChange{path, "changed"})
		}
	}
	for path := range was {
		if _, there := is[path]; !there {
			changes = append(changes, FileChange{path, "removed"})
		}
	}
	slices.SortFunc(changes, func(a, b FileChange) int {
		if a.Path < b.Path {
			return -1
		}
		return 1
	})
	return changes, nil
}

func contents(ctx context.Context, b bucket.Bucket, manifest *job.Manifest) (map[string]string, error) {
	if manifest == nil {
		return nil, nil
	}
	return checkpointing.Contents(ctx, b, checkpointing.Ref{Key: manifest.Key, Digest: manifest.Digest})
}

// Comparison is in what a job differs from a run.
type Comparison struct {
	Differences []job.Difference
	// Files of the workdir that differ.
	Files []FileChange
}

// OnlyLimits reports whether nothing differs but limits.
func (c *Comparison) OnlyLimits() bool {
	for i := range c.Differences {
		if !c.Differences[i].IsLimit() {
			return false
		}
	}
	return true
}

// Compare tells in what a run of the job in opts would differ from an earlier
// run. It sends what of the workdir the bucket does not have, to know it by its
// content, and leaves no run. What comes from outside the job file is not
// compared: inputs are those of the earlier run, where their sources are.
func Compare(ctx context.Context, opts Options, earlier *job.Spec) (*Comparison, error) {
	spec, err := begin(opts)
	if err != nil {
		return nil, err
	}
	spec.Agent, spec.Timing = earlier.Agent, earlier.Timing
	if opts.Workdir != nil {
		if spec.Workdir, err = sendWorkdir(ctx, opts, spec.Run); err != nil {
			return nil, err
		}
		defer func() { _ = opts.Bucket.Delete(context.WithoutCancel(ctx), store.WorkdirKey(spec.Run)) }() // else a collection does
	}
	if err := digestCacheFiles(ctx, opts, spec); err != nil {
		return nil, err
	}
	spec.Inputs = sameInputs(spec.Inputs, earlier.Inputs)
	sameFlags(spec, earlier)
	comparison := &Comparison{}
	if comparison.Differences, err = job.Diff(earlier, spec); err != nil {
		return nil, err
	}
	comparison.Files, err = FileChanges(ctx, opts.Bucket, earlier.Workdir, spec.Workdir)
	if err != nil {
		return nil, fmt.Errorf("comparing the workdir: %w", err)
	}
	return comparison, nil
}

// sameInputs are inputs with the files that an earlier run had from the same
// sources.
func sameInputs(inputs, earlier []job.SourceInput) []job.SourceInput {
	inputs = slices.Clone(inputs)
	for i := range inputs {
		for j := range earlier {
			if earlier[j].Name == inputs[i].Name && earlier[j].Source == inputs[i].Source {
				inputs[i].Manifest = earlier[j].Manifest
			}
		}
	}
	return inputs
}

// sameFlags sets what the command line said and the job file does not.
func sameFlags(spec, earlier *job.Spec) {
	for i := range spec.Tasks {
		cache := spec.Tasks[i].Cache
		if before, ok := earlier.Task(spec.Tasks[i].Name); ok && cache != nil && before.Cache != nil {
			cache.Skip, cache.Overwrite = before.Cache.Skip, before.Cache.Overwrite
		}
	}
}
