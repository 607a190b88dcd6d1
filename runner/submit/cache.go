package submit

import (
	"context"
	"fmt"
	"slices"

	"github.com/spotrelay/spotrelay/checkpointing"
	"github.com/spotrelay/spotrelay/runner/job"
)

// digestCacheFiles fills in what the files of the workdir hold that tasks with
// a cache read. The specification's tasks are copied before, since the caller's
// may be submitted again.
func digestCacheFiles(ctx context.Context, opts Options, spec *job.Spec) error {
	spec.Tasks = slices.Clone(spec.Tasks)
	for i := range spec.Tasks {
		task := &spec.Tasks[i]
		if task.Cache == nil {
			continue
		}
		cache := *task.Cache
		task.Cache = &cache
		cache.Files = ""
		if len(cache.Paths) == 0 {
			continue
		}
		if spec.Workdir == nil || opts.Workdir.Covers == nil {
			return &Error{
				Op: "submit", What: fmt.Sprintf("the cache of task %s", task.Name), Err: fmt.Errorf("it names files of a workdir, and the job has none"),
				Hint: "add a workdir block, or leave inputs out",
			}
		}
		ref := checkpointing.Ref{Key: spec.Workdir.Key, Digest: spec.Workdir.Digest}
		digest, _, err := checkpointing.ContentOf(ctx, opts.Bucket, ref, func(path string) bool {
			return slices.ContainsFunc(cache.Paths, func(pattern string) bool { return opts.Workdir.Covers(pattern, path) })
		})
		if err != nil {
			return fmt.Errorf("reading what the workdir holds for the cache of task %s: %w", task.Name, err)
		}
		task.Cache.Files = digest
	}
	return nil
}
