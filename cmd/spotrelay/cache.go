package main

import (
	"github.com/spf13/cobra"

	"github.com/spotrelay/spotrelay/runner/job"
)

func (a *app) cacheCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "cache",
		Short: "Explain, list and remove cached results",
		Long: `Shows why a task was found in the cache or not, what the cache holds, and removes
what is no longer wanted. A task is cached when its block has a cache block; its key
is made of all that its result depends on, see docs/caching.md.`,
		Example: `  spotrelay cache explain last features --index 3
  spotrelay cache ls
  spotrelay cache rm --task features --older-than 720h`,
		Args:                       noCommand,
		SuggestionsMinimumDistance: 2,
		RunE:                       func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(a.cacheExplainCommand(), a.cacheListCommand(), a.cacheRemoveCommand())
	return cmd
}

// cacheFlags are those of the commands that submit a run.
type cacheFlags struct {
	skip      bool
	overwrite bool
}

func (f *cacheFlags) add(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&f.skip, "no-cache", false, "run every task, whatever the cache has; keep results that it has not")
	cmd.Flags().BoolVar(&f.overwrite, "overwrite-cache", false, "run every task, and replace what the cache has")
}

func (f *cacheFlags) check() error {
	if f.skip && f.overwrite {
		return wrongCall("--overwrite-cache looks for nothing either", "--no-cache and --overwrite-cache exclude each other")
	}
	return nil
}

// apply sets the flags in the tasks that have a cache.
func (f cacheFlags) apply(spec *job.Spec) {
	for i := range spec.Tasks {
		if cache := spec.Tasks[i].Cache; cache != nil {
			cache.Skip, cache.Overwrite = f.skip, f.overwrite
		}
	}
}

// shortDigest is as much of a digest, or of another value of a key, as people
// need.
func shortDigest(value string) string {
	const most, digest = 60, 12
	hex := len(value) >= 40
	for _, c := range value {
		hex = hex && (c >= '0' && c <= '9' || c >= 'a' && c <= 'f')
	}
	switch {
	case hex:
		return value[:digest]
	case len(value) > most:
		return value[:most] + "..."
	}
	return value
}
