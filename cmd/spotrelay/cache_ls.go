package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/spotrelay/spotrelay/checkpointing/bucket"
	"github.com/spotrelay/spotrelay/cmd/spotrelay/internal/narrate"
	"github.com/spotrelay/spotrelay/runner/job"
	"github.com/spotrelay/spotrelay/runner/store"
)

func (a *app) cacheListCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "ls [TASK]",
		Short: "List what the cache holds, the newest last",
		Long: `Lists the entries of the cache: the task and index that they are of, the run that
computed them, how long that took, and how much they hold.`,
		Example: `  spotrelay cache ls
  spotrelay cache ls features --json`,
		Args: between(0, "TASK"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.listCache(cmd.Context(), append(args, "")[0])
		},
	}
}

// cacheJSON is what cache ls --json prints.
type cacheJSON struct {
	Version int              `json:"version"`
	Entries []cacheEntryJSON `json:"entries"`
}

type cacheEntryJSON struct {
	Key     string            `json:"key"`
	Job     string            `json:"job,omitempty"`
	From    *job.CachedFrom   `json:"from,omitempty"`
	Bytes   int64             `json:"bytes"`
	Files   int               `json:"files"`
	Result  map[string]string `json:"result,omitempty"`
	Elapsed float64           `json:"elapsed_seconds,omitempty"`
	Stored  time.Time         `json:"stored"`            // by the store's time
	Damaged string            `json:"damaged,omitempty"` // why it cannot be used
}

func (a *app) listCache(ctx context.Context, task string) error {
	b, err := a.openBucket(ctx)
	if err != nil {
		return err
	}
	defer b.Close()
	stored, err := cacheEntries(ctx, b, task)
	if err != nil {
		return err
	}
	list := cacheJSON{Version: jsonVersion, Entries: make([]cacheEntryJSON, len(stored))}
	workers, inner := errgroup.WithContext(ctx)
	workers.SetLimit(readers)
	for i, entry := range stored {
		workers.Go(func() (err error) {
			list.Entries[i], err = cacheEntryView(inner, b, entry)
			return err
		})
	}
	if err := workers.Wait(); err != nil {
		return err
	}
	if a.json {
		return a.printJSON(list)
	}
	if len(list.Entries) == 0 {
		fmt.Fprintln(a.stdout, "the cache holds nothing"+of(task))
		return nil
	}
	a.printCache(list.Entries)
	return nil
}

func of(task string) string {
	if task == "" {
		return ""
	}
	return " of task " + task
}

// cacheEntries are the entries of a task, "" for all, the newest last.
func cacheEntries(ctx context.Context, b bucket.Bucket, task string) ([]store.StoredCacheEntry, error) {
	prefix := ""
	if task != "" {
		prefix = task + "/"
	}
	var entries []store.StoredCacheEntry
	for entry, err := range store.ListCache(ctx, b, prefix) {
		if err != nil {
			return nil, err
		}
		entries = append(entries, entry)
	}
	slices.SortStableFunc(entries, func(a, b store.StoredCacheEntry) int {
		return cmp.Or(a.Object.Modified.Compare(b.Object.Modified), cmp.Compare(a.Key, b.Key))
	})
	return entries, nil
}

// cacheEntryView reads an entry. One that is damaged, or gone meanwhile, says so.
func cacheEntryView(ctx context.Context, b bucket.Bucket, stored store.StoredCacheEntry) (cacheEntryJSON, error) {
	view := cacheEntryJSON{Key: stored.Key, Stored: stored.Object.Modified}
	entry, err := store.ReadCacheEntry(ctx, b, stored.Key)
	switch {
	case errors.Is(err, store.ErrCorrupt), errors.Is(err, store.ErrVersion), errors.Is(err, bucket.ErrNotFound):
		view.Damaged = err.Error()
		return view, nil
	case err != nil:
		return view, err
	}
	view.Job, view.From, view.Result, view.Elapsed = entry.Job, &entry.From, entry.Result, entry.Elapsed.D().Seconds()
	if entry.Output != nil {
		view.Bytes, view.Files = entry.Output.Bytes, entry.Output.Files
	}
	return view, nil
}

func (a *app) printCache(entries []cacheEntryJSON) {
	var rows [][]string
	for _, e := range entries {
		row := []string{e.Key, "", "", "", "", ago(e.Stored)}
		if e.From != nil {
			row[1], row[2] = e.From.Run, narrate.Span(time.Duration(e.Elapsed*float64(time.Second)))
			row[3], row[4] = fmt.Sprint(e.Bytes), fmt.Sprint(e.Files)
		} else {
			row[1] = "damaged"
		}
		rows = append(rows, row)
	}
	printTable(a.stdout, []string{"KEY", "COMPUTED BY", "TOOK", "BYTES", "FILES", "STORED"}, rows)
}
