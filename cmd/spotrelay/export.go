package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/spotrelay/spotrelay/runner/agent/window"
	"github.com/spotrelay/spotrelay/runner/archive"
)

func (a *app) exportCommand() *cobra.Command {
	var to string
	var agents bool
	cmd := &cobra.Command{
		Use:   "export RUN --to FILE",
		Short: "Write a run that is over into a file",
		Long: `Writes a run that is over into a file, by which spotrelay import brings it into
another bucket: its journal and logs, and all files that it was given, saved and
committed. The same run gives the same file.`,
		Example: `  spotrelay export last --to run.tar.zst
  spotrelay export 01k9 --to run.tar.zst --agents`,
		Args:              exact("RUN"),
		ValidArgsFunction: a.completeRun,
		RunE: func(cmd *cobra.Command, args []string) error {
			if to == "" {
				return wrongCall("as in --to run.tar.zst", "--to is missing")
			}
			return a.export(cmd.Context(), args[0], to, agents)
		},
	}
	cmd.Flags().StringVar(&to, "to", "", "the `file` to write, which must not exist")
	cmd.Flags().BoolVar(&agents, "agents", false, "take the agent programs along; else a run submitted again has those that are at hand")
	return cmd
}

func (a *app) importCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "import FILE",
		Short: "Bring an exported run into a bucket",
		Long: `Brings a run that spotrelay export wrote into a file into a bucket. Everything is
verified before it becomes a run there; an import that was interrupted is repeated.
A run that is there already stays as it is. Like whoever writes to the bucket, who
made the file is trusted.`,
		Example: `  spotrelay import run.tar.zst --bucket s3://acme-batch/archive`,
		Args:    exact("FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.importRun(cmd.Context(), args[0])
		},
	}
}

// movedJSON is what export --json and import --json print.
type movedJSON struct {
	Version int    `json:"version"`
	Run     string `json:"run"`
	Job     string `json:"job"`
	Objects int    `json:"objects"`
	Bytes   int64  `json:"bytes"` // of the objects
	// Written is how many were not there yet, of an import.
	Written *int   `json:"written,omitempty"`
	File    string `json:"file"`
}

func (a *app) export(ctx context.Context, ref, to string, agents bool) error {
	b, err := a.openBucket(ctx)
	if err != nil {
		return err
	}
	defer b.Close()
	run, err := resolveRun(ctx, b, ref)
	if err != nil {
		return err
	}
	if _, err := os.Lstat(to); !errors.Is(err, fs.ErrNotExist) {
		return wrongCall("name another one", "the file %s is there already", to)
	}
	var header archive.Header
	err = writeWhole(to, func(file io.Writer) (err error) {
		header, err = archive.Export(ctx, archive.ExportOptions{
			Bucket: b, Run: run, Agents: agents, Progress: a.moveProgress("exported"),
			Passed: func(key string, err error) {
				fmt.Fprintf(a.stderr, "left out: the checkpoint %s is damaged: %v\n", key, err)
			},
		}, file)
		return err
	})
	if err != nil {
		return moveError(err)
	}
	if a.json {
		return a.printJSON(movedJSON{Version: jsonVersion, Run: header.Run, Job: header.Job, Objects: header.Objects, Bytes: header.Bytes, File: to})
	}
	fmt.Fprintf(a.stdout, "exported run %s of job %s into %s: %d objects, %s\n", header.Run, header.Job, to, header.Objects, window.Bytes(header.Bytes))
	return nil
}

// writeWhole writes a file under another name, and gives it its own when it is
// whole.
func writeWhole(path string, write func(io.Writer) error) error {
	file, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*.part")
	if err != nil {
		return err
	}
	err = errors.Join(write(file), file.Sync(), file.Close())
	if err == nil {
		err = os.Rename(file.Name(), path)
	}
	if err != nil {
		_ = os.Remove(file.Name())
	}
	return err
}

func (a *app) importRun(ctx context.Context, path string) error {
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return wrongCall("", "there is no file %s", path)
	}
	if err != nil {
		return err
	}
	defer file.Close()
	address, err := a.bucketAddress("")
	if err != nil {
		return err
	}
	b, err := openAddress(ctx, address)
	if err != nil {
		return err
	}
	defer b.Close()
	found, err := archive.Import(ctx, archive.ImportOptions{Bucket: b, Progress: a.moveProgress("imported")}, file)
	if err != nil {
		return moveError(fmt.Errorf("importing %s: %w", path, err))
	}
	if a.json {
		return a.printJSON(movedJSON{Version: jsonVersion, Run: found.Run, Job: found.Job, Objects: found.Objects, Bytes: found.Bytes, Written: &found.Written, File: path})
	}
	fmt.Fprintf(a.stdout, "imported run %s of job %s: %d objects, %s, %d of them new here\n", found.Run, found.Job, found.Objects, window.Bytes(found.Bytes), found.Written)
	return nil
}

// moveError gives an archive's error its hint; a run that is not over is a wrong
// call.
func moveError(err error) error {
	var fault *archive.Error
	switch {
	case errors.Is(err, archive.ErrLive):
		errors.As(err, &fault)
		return wrongCall(fault.Hint, "%w", err)
	case errors.As(err, &fault):
		return &failure{err: err, hint: fault.Hint}
	}
	return err
}

// moveProgress tells on the standard error how far an export or import has come
// that takes a while.
func (a *app) moveProgress(what string) func(archive.Progress) {
	told := time.Now()
	return func(p archive.Progress) {
		if time.Since(told) < importLine {
			return
		}
		told = time.Now()
		fmt.Fprintf(a.stderr, "%s %s of %s, %d of %d objects\n", what, window.Bytes(p.Bytes), window.Bytes(p.BytesTotal), p.Objects, p.ObjectsTotal)
	}
}
