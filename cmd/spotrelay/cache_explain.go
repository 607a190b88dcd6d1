package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/spotrelay/spotrelay/checkpointing/bucket"
	"github.com/spotrelay/spotrelay/cmd/spotrelay/internal/narrate"
	"github.com/spotrelay/spotrelay/runner/job"
	"github.com/spotrelay/spotrelay/runner/plan"
	"github.com/spotrelay/spotrelay/runner/store"
)

func (a *app) cacheExplainCommand() *cobra.Command {
	index := -1
	cmd := &cobra.Command{
		Use:   "explain RUN TASK[/INDEX]",
		Short: "Say why a task was found in the cache or not",
		Long: `Says of each index of a task whether its result was found in the cache, and from
which run it came; or why it was not, naming what differs from the entry that is most
like it. Values of environment variables are kept as digests alone, so of these it
names the variable.`,
		Example: `  spotrelay cache explain last features
  spotrelay cache explain last features --index 3
  spotrelay cache explain 01k9 merge --json`,
		Args:              exact("RUN", "TASK"),
		ValidArgsFunction: a.completeRunTask,
		RunE: func(cmd *cobra.Command, args []string) error {
			ref, err := parseTaskRef(args[1])
			if err != nil {
				return err
			}
			if cmd.Flags().Changed("index") {
				if ref.index >= 0 || index < 0 {
					return wrongCall("give it once, as 0 or more", "--index %d and %s", index, args[1])
				}
				ref.index = index
			}
			return a.explainCache(cmd.Context(), args[0], ref)
		},
	}
	cmd.Flags().IntVar(&index, "index", -1, "the index of an array")
	return cmd
}

// cacheExplainJSON is what cache explain --json prints.
type cacheExplainJSON struct {
	Version int                `json:"version"`
	Run     string             `json:"run"`
	Task    string             `json:"task"`
	Indexes []cacheExplanation `json:"indexes"`
}

// cacheOutcome is what became of an index's lookup.
type cacheOutcome string

const (
	cacheHit     cacheOutcome = "hit"
	cacheMiss    cacheOutcome = "miss"
	cacheWaits   cacheOutcome = "waits"   // for who computes the same
	cacheUnknown cacheOutcome = "unknown" // it has not come to that
	cacheOff     cacheOutcome = "off"     // it was not looked for
)

type cacheExplanation struct {
	Index   int          `json:"index"`
	Outcome cacheOutcome `json:"outcome"`
	Reason  string       `json:"reason"`
	Key     string       `json:"key,omitempty"`
	// From is who computed it, of a hit; Nearest the entry that is most like
	// it, of a miss, and Differs what is not the same there.
	From    *job.CachedFrom       `json:"from,omitempty"`
	Nearest *job.CachedFrom       `json:"nearest,omitempty"`
	Differs []job.CacheDifference `json:"differs,omitempty"`
	Kept    bool                  `json:"kept"` // its own result is in the cache
}

func (a *app) explainCache(ctx context.Context, run string, ref taskRef) error {
	b, err := a.openBucket(ctx)
	if err != nil {
		return err
	}
	defer b.Close()
	id, err := resolveRun(ctx, b, run)
	if err != nil {
		return err
	}
	state, _, err := store.LoadRun(ctx, b, id)
	if err != nil {
		return err
	}
	task, err := findTask(state.Spec, ref)
	if err != nil {
		return err
	}
	if task.Cache == nil {
		return wrongCall("add a cache block to it", "task %q of run %s has no cache", task.Name, id)
	}
	e := &cacheExplainer{ctx: ctx, b: b, state: state, task: task}
	if e.entries, err = cacheEntries(ctx, b, task.Name); err != nil {
		return err
	}
	report := cacheExplainJSON{Version: jsonVersion, Run: id, Task: task.Name, Indexes: []cacheExplanation{}}
	for i := range task.Count {
		if ref.index < 0 || ref.index == i {
			report.Indexes = append(report.Indexes, cacheExplanation{Index: i})
		}
	}
	workers := new(errgroup.Group)
	workers.SetLimit(readers)
	parts := make([][]job.CachePart, len(report.Indexes))
	for i := range report.Indexes { // the state is for one goroutine
		parts[i], _ = state.CacheParts(task.Name, report.Indexes[i].Index)
	}
	for i := range report.Indexes {
		workers.Go(func() error { return e.explain(&report.Indexes[i], parts[i]) })
	}
	if err := workers.Wait(); err != nil {
		return err
	}
	if a.json {
		return a.printJSON(report)
	}
	a.printExplanations(state.Spec, report)
	return nil
}

// cacheExplainer explains the indexes of a task.
type cacheExplainer struct {
	ctx     context.Context
	b       bucket.Bucket
	state   *plan.State
	task    *job.Task
	entries []store.StoredCacheEntry // of the task, the newest last
}

func (e *cacheExplainer) explain(x *cacheExplanation, parts []job.CachePart) error {
	index := e.state.Index(e.task.Name, x.Index)
	x.Kept = index.Kept
	if parts != nil {
		x.Key = job.CacheKey(parts)
	}
	switch cache := e.task.Cache; {
	case index.Cached != nil:
		x.Outcome, x.From, x.Key = cacheHit, index.Cached, index.Cached.Key
		x.Reason = "computed by run " + fromText(e.state.Spec, index.Cached)
		return nil
	case cache.Skip:
		x.Outcome, x.Reason = cacheOff, "the run was submitted with --no-cache"
		return nil
	case cache.Overwrite:
		x.Outcome, x.Reason = cacheOff, "the run was submitted with --overwrite-cache"
		return nil
	case index.Waits != nil:
		x.Outcome, x.Reason = cacheWaits, narrate.Waits(e.state.Spec, index.Waits)
		return nil
	case parts == nil:
		x.Outcome, x.Reason = cacheUnknown, "it waits for what it depends on"
		return nil
	case index.Next == 0:
		x.Outcome, x.Reason = cacheUnknown, "it has had no attempt"
		if index.Reason != "" {
			x.Reason += ": " + index.Reason
		}
		return nil
	case index.Missed != nil:
		x.Outcome, x.Reason = cacheMiss, index.Missed.Reason
		return nil
	}
	x.Outcome = cacheMiss
	return e.explainMiss(x, parts)
}

// mostCompared bounds how many entries an index is compared with.
const mostCompared = 50

// explainMiss finds the entry that is most like what was looked for, of those
// that earlier runs computed.
func (e *cacheExplainer) explainMiss(x *cacheExplanation, parts []job.CachePart) error {
	prefix, compared := job.CachePrefix(parts), 0
	best := -1
	for _, stored := range slices.Backward(e.entries) {
		if !strings.HasPrefix(stored.Key, prefix) || compared == mostCompared {
			continue
		}
		entry, err := store.ReadCacheEntry(e.ctx, e.b, stored.Key)
		switch {
		case errors.Is(err, store.ErrCorrupt), errors.Is(err, store.ErrVersion), errors.Is(err, bucket.ErrNotFound):
			continue
		case err != nil:
			return err
		case entry.From.Run >= e.state.Spec.Run: // ids sort by time
			continue
		}
		compared++
		differs := job.CompareCacheParts(entry.Parts, parts)
		if best < 0 || len(differs) < best {
			best, x.Nearest, x.Differs = len(differs), &entry.From, differs
		}
	}
	switch {
	case best < 0:
		x.Reason = "the cache had no entry of it"
	case best == 0:
		x.Reason = "the same was computed by run " + x.Nearest.Run + ", and was not in the cache when it was looked for"
	default:
		x.Reason = "since run " + x.Nearest.Run + ": " + differsText(x.Differs)
	}
	return nil
}

func differsText(differences []job.CacheDifference) string {
	const most = 4
	var texts []string
	for _, d := range differences[:min(most, len(differences))] {
		switch {
		case d.Before == "":
			texts = append(texts, d.Name+" is new")
		case d.Now == "":
			texts = append(texts, d.Name+" is gone")
		default:
			texts = append(texts, d.Name+" differs")
		}
	}
	if more := len(differences) - most; more > 0 {
		texts = append(texts, fmt.Sprintf("and %d more", more))
	}
	return strings.Join(texts, ", ")
}

// fromText is who computed a result: "01k9... features[3], attempt 1".
func fromText(spec *job.Spec, from *job.CachedFrom) string {
	return fmt.Sprintf("%s, %s, attempt %d", from.Run, narrate.Name(spec, from.Task, from.Index), from.Attempt)
}

func (a *app) printExplanations(spec *job.Spec, report cacheExplainJSON) {
	var rows [][]string
	for _, x := range report.Indexes {
		rows = append(rows, []string{narrate.Name(spec, report.Task, x.Index), string(x.Outcome), x.Reason})
	}
	printTable(a.stdout, []string{"TASK", "CACHE", "WHY"}, rows)
	if len(report.Indexes) != 1 {
		return
	}
	x := report.Indexes[0]
	if len(x.Differs) > 0 {
		fmt.Fprintln(a.stdout)
		rows = nil
		for _, d := range x.Differs {
			rows = append(rows, []string{d.Name, cmpText(d.Before), cmpText(d.Now)})
		}
		printTable(a.stdout, []string{"WHAT", "IN " + x.Nearest.Run, "NOW"}, rows)
	}
	if x.Key != "" {
		fmt.Fprintf(a.stdout, "\nkey  %s\n", x.Key)
	}
}

func cmpText(value string) string {
	if value == "" {
		return "-"
	}
	return shortDigest(value)
}
