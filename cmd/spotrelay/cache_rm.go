package main

import (
	"bufio"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/spotrelay/spotrelay/checkpointing/bucket"
	"github.com/spotrelay/spotrelay/runner/store"
)

type cacheRemoveFlags struct {
	task      string
	olderThan time.Duration
	all       bool
	yes       bool
	dryRun    bool
}

func (a *app) cacheRemoveCommand() *cobra.Command {
	var flags cacheRemoveFlags
	cmd := &cobra.Command{
		Use:   "rm [KEY]...",
		Short: "Remove entries of the cache",
		Long: `Removes the entries of the cache with these keys, or those that --task and
--older-than say, or --all. Runs that have used an entry keep what they have of it.
It asks before it removes more than what was named; --yes answers.

What only they held in packs is freed by the next spotrelay gc --chunks.`,
		Example: `  spotrelay cache rm features/3-0a1b2c
  spotrelay cache rm --task features --older-than 720h --yes
  spotrelay cache rm --all`,
		RunE: func(cmd *cobra.Command, args []string) error {
			chosen := flags.task != "" || flags.olderThan != 0
			switch {
			case flags.olderThan < 0:
				return wrongCall("as in --older-than 720h", "--older-than is more than 0")
			case len(args) > 0 && (chosen || flags.all):
				return wrongCall("see "+cmd.CommandPath()+" --help", "keys are given, and --task, --older-than or --all as well")
			case flags.all && chosen:
				return wrongCall("see "+cmd.CommandPath()+" --help", "--all is everything; leave out --task and --older-than, or --all")
			case len(args) == 0 && !flags.all && !chosen:
				return wrongCall("spotrelay cache ls shows the keys", "nothing is said to be removed: give keys, --task, --older-than or --all")
			}
			return a.removeCached(cmd.Context(), args, flags)
		},
	}
	cmd.Flags().StringVar(&flags.task, "task", "", "entries of this `task`")
	cmd.Flags().DurationVar(&flags.olderThan, "older-than", 0, "entries that were stored longer `ago`, by the store's time")
	cmd.Flags().BoolVar(&flags.all, "all", false, "all entries")
	cmd.Flags().BoolVarP(&flags.yes, "yes", "y", false, "do not ask")
	cmd.Flags().BoolVar(&flags.dryRun, "dry-run", false, "tell what would be removed")
	return cmd
}

// cacheRemovedJSON is what cache rm --json prints.
type cacheRemovedJSON struct {
	Version int      `json:"version"`
	DryRun  bool     `json:"dry_run"`
	Removed []string `json:"removed"` // keys
}

func (a *app) removeCached(ctx context.Context, keys []string, flags cacheRemoveFlags) error {
	b, err := a.openBucket(ctx)
	if err != nil {
		return err
	}
	defer b.Close()
	entries, err := cacheEntries(ctx, b, flags.task)
	if err != nil {
		return err
	}
	report := cacheRemovedJSON{Version: jsonVersion, DryRun: flags.dryRun, Removed: []string{}}
	if len(keys) > 0 {
		report.Removed, err = keysOf(entries, keys)
	} else {
		if report.Removed, err = olderThan(ctx, b, entries, flags.olderThan); err != nil {
			return err
		}
		err = a.confirm(fmt.Sprintf("Remove %s of %d?", entriesText(len(report.Removed)), len(entries)), flags.yes || flags.dryRun || len(report.Removed) == 0)
	}
	if err != nil {
		return err
	}
	if !flags.dryRun {
		workers, inner := errgroup.WithContext(ctx)
		workers.SetLimit(readers)
		for _, key := range report.Removed {
			workers.Go(func() error { return store.RemoveCacheEntry(inner, b, key) })
		}
		if err := workers.Wait(); err != nil {
			return err
		}
	}
	if a.json {
		return a.printJSON(report)
	}
	verb := "removed"
	if flags.dryRun {
		verb = "would remove"
	}
	fmt.Fprintf(a.stdout, "%s %s\n", verb, entriesText(len(report.Removed)))
	return nil
}

func entriesText(n int) string {
	if n == 1 {
		return "1 entry"
	}
	return fmt.Sprintf("%d entries", n)
}

// keysOf finds the entries that were named, by their keys or how these begin.
func keysOf(entries []store.StoredCacheEntry, names []string) ([]string, error) {
	found := []string{}
	for _, name := range names {
		var matches []string
		for _, entry := range entries {
			if entry.Key == name {
				matches = []string{name}
				break
			}
			if strings.HasPrefix(entry.Key, name) && strings.Contains(name, "-") {
				matches = append(matches, entry.Key)
			}
		}
		switch len(matches) {
		case 0:
			return nil, wrongCall("spotrelay cache ls shows the keys", "the cache has no entry %s", name)
		case 1:
			found = append(found, matches[0])
		default:
			return nil, wrongCall("give more of the key", "%s entries begin with %s", fmt.Sprint(len(matches)), name)
		}
	}
	slices.Sort(found)
	return slices.Compact(found), nil
}

// olderThan are the entries of an age, by the store's own times.
func olderThan(ctx context.Context, b bucket.Bucket, entries []store.StoredCacheEntry, age time.Duration) ([]string, error) {
	var now time.Time
	if age > 0 {
		var err error
		if now, err = store.Clock(ctx, b); err != nil {
			return nil, err
		}
	}
	keys := []string{}
	for _, entry := range entries {
		if age == 0 || now.Sub(entry.Object.Modified) > age {
			keys = append(keys, entry.Key)
		}
	}
	return keys, nil
}

// confirm asks on the terminal. Where there is none, nobody can answer.
func (a *app) confirm(question string, answered bool) error {
	if answered {
		return nil
	}
	if !isTerminal(a.stdin) {
		return wrongCall("add --yes", "nobody is there to be asked: %s", question)
	}
	fmt.Fprintf(a.stderr, "%s [y/N] ", question)
	line, err := bufio.NewReader(a.stdin).ReadString('\n')
	if answer := strings.ToLower(strings.TrimSpace(line)); err == nil && (answer == "y" || answer == "yes") {
		return nil
	}
	fmt.Fprintln(a.stderr, "nothing was removed")
	return &exitError{code: exitFailed}
}
