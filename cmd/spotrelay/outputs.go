package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/spotrelay/spotrelay/checkpointing"
	"github.com/spotrelay/spotrelay/checkpointing/bucket"
	"github.com/spotrelay/spotrelay/runner/job"
	"github.com/spotrelay/spotrelay/runner/plan"
	"github.com/spotrelay/spotrelay/runner/store"
)

type outputsFlags struct {
	index int
	to    string
	force bool
}

func (a *app) outputsCommand() *cobra.Command {
	var flags outputsFlags
	cmd := &cobra.Command{
		Use:   "outputs RUN TASK",
		Short: "List what a task committed, or fetch it",
		Long: `Lists the outputs that a task committed, or fetches them with --to: those of one
index into the folder itself, those of an array into a folder per index.`,
		Example: `  spotrelay outputs last merge
  spotrelay outputs last merge --to /tmp/index
  spotrelay outputs last shard --index 2 --to shard2 --force`,
		Args:              exact("RUN", "TASK"),
		ValidArgsFunction: a.completeRunTask,
		RunE: func(cmd *cobra.Command, args []string) error {
			if !cmd.Flags().Changed("index") {
				flags.index = -1
			} else if flags.index < 0 {
				return wrongCall("", "indexes are numbered from 0")
			}
			return a.fetchOutputs(cmd.Context(), args[0], args[1], flags)
		},
	}
	cmd.Flags().IntVar(&flags.index, "index", -1, "only this `index` of an array")
	cmd.Flags().StringVar(&flags.to, "to", "", "fetch into this `folder`, which must not exist or be empty")
	cmd.Flags().BoolVar(&flags.force, "force", false, "with --to: put the outputs in the place of what is in that folder")
	return cmd
}

// outputsJSON is what outputs --json prints.
type outputsJSON struct {
	Version int          `json:"version"`
	Run     string       `json:"run"`
	Task    string       `json:"task"`
	Outputs []outputJSON `json:"outputs"`
}

type outputJSON struct {
	Index    int          `json:"index"`
	Key      string       `json:"key,omitempty"` // of for_each
	Manifest job.Manifest `json:"manifest"`
	Path     string       `json:"path,omitempty"` // where it was fetched to
}

func (a *app) fetchOutputs(ctx context.Context, ref, name string, flags outputsFlags) error {
	b, err := a.openBucket(ctx)
	if err != nil {
		return err
	}
	defer b.Close()
	run, err := resolveRun(ctx, b, ref)
	if err != nil {
		return err
	}
	which, err := parseTaskRef(name)
	if err != nil {
		return err
	}
	if flags.index >= 0 {
		which.index = flags.index
	}
	state, _, err := store.LoadRun(ctx, b, run)
	if err != nil {
		return err
	}
	task, err := findTask(state.Spec, which)
	if err != nil {
		return err
	}
	list := committedOutputs(state, task, which.index)
	if len(list) == 0 {
		return wrongCall("spotrelay status "+run+" says how far it is", "task %s of run %s has no outputs", name, run)
	}
	if flags.to != "" {
		if err := a.fetch(ctx, b, list, task.Array && which.index < 0, flags); err != nil {
			return err
		}
	}
	if a.json {
		return a.printJSON(outputsJSON{Version: jsonVersion, Run: run, Task: task.Name, Outputs: list})
	}
	return a.printOutputs(ctx, b, task, list)
}

// committedOutputs are those of a task's indexes, or of one.
func committedOutputs(state *plan.State, task *job.Task, only int) []outputJSON {
	var list []outputJSON
	for t := range state.Spec.Tasks {
		if state.Spec.Tasks[t].Name != task.Name {
			continue
		}
		for i := range state.Tasks[t].Indexes {
			if output := state.Tasks[t].Indexes[i].Output; output != nil && (only < 0 || only == i) {
				list = append(list, outputJSON{Index: i, Key: task.KeyOf(i), Manifest: *output})
			}
		}
	}
	return list
}

func (a *app) fetch(ctx context.Context, b bucket.Bucket, list []outputJSON, folders bool, flags outputsFlags) error {
	to := flags.to
	if err := wantEmpty(to); err != nil && !flags.force {
		return err
	}
	if err := wantBeside(to); err != nil {
		return err
	}
	begun := time.Now()
	engine := checkpointing.Open(b)
	for i := range list {
		dir := to
		if folders {
			dir = filepath.Join(to, strconv.Itoa(list[i].Index))
		}
		if err := os.MkdirAll(filepath.Dir(filepath.Clean(dir)), 0o755); err != nil {
			return err
		}
		manifest := list[i].Manifest
		ref := checkpointing.Ref{Key: manifest.Key, Digest: manifest.Digest, Bytes: manifest.Bytes, Files: manifest.Files}
		if err := engine.Restore(ctx, ref, dir, checkpointing.RestoreOptions{}); err != nil {
			return err
		}
		list[i].Path = dir
		if time.Since(begun) > importLine && !a.json {
			fmt.Fprintf(a.stderr, "fetched %d of %d\n", i+1, len(list))
			begun = time.Now()
		}
	}
	return nil
}

// wantBeside refuses to put outputs in the place of the folder that one is in,
// or of one that it lies in.
func wantBeside(to string) error {
	here, err := os.Getwd()
	if err != nil {
		return err
	}
	target, err := filepath.Abs(to)
	if err != nil {
		return err
	}
	if inner, err := filepath.Rel(target, here); err == nil && (inner == "." || !strings.HasPrefix(inner, "..")) {
		return wrongCall("name a folder of their own, such as --to out", "outputs would take the place of %s, which you are in", to)
	}
	return nil
}

// wantEmpty refuses a folder that something is in.
func wantEmpty(to string) error {
	entries, err := os.ReadDir(to)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err == nil && len(entries) > 0:
		return wrongCall("name a folder that does not exist yet, or replace what is in it by --force", "the folder %s is not empty", to)
	}
	return err
}

func (a *app) printOutputs(ctx context.Context, b bucket.Bucket, task *job.Task, list []outputJSON) error {
	engine := checkpointing.Open(b)
	for _, output := range list {
		name := task.Name
		if task.Array {
			name = fmt.Sprintf("%s[%d]", task.Name, output.Index)
		}
		if output.Path != "" {
			fmt.Fprintf(a.stdout, "%s: %d files, %d bytes, in %s\n", name, output.Manifest.Files, output.Manifest.Bytes, output.Path)
			continue
		}
		_, entries, err := engine.Inspect(ctx, checkpointing.Ref{Key: output.Manifest.Key, Digest: output.Manifest.Digest})
		if err != nil {
			return err
		}
		for _, entry := range entries {
			if entry.Mode.IsRegular() {
				fmt.Fprintf(a.stdout, "%s\t%d\t%s\n", name, entry.Size, entry.Path)
			}
		}
	}
	return nil
}
