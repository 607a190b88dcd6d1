package main

import (
	"context"
	"fmt"
	"io/fs"
	"time"

	"github.com/spf13/cobra"

	"github.com/spotrelay/spotrelay/checkpointing"
)

func (a *app) checkpointShowCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "show RUN TASK[/INDEX] [ID]",
		Short: "List the files of a checkpoint",
		Long: `Lists the files of a checkpoint: of the newest whole one, or of the one that ID
names. Newer ones that are damaged are named.`,
		Example: `  spotrelay checkpoint show last train
  spotrelay checkpoint show last shard/3 2-7`,
		Args:              between(2, "RUN", "TASK", "ID"),
		ValidArgsFunction: a.completeCheckpoint,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.showCheckpoint(cmd.Context(), args[0], args[1], append(args, "")[2])
		},
	}
}

// checkpointFilesJSON is what checkpoint show --json prints.
type checkpointFilesJSON struct {
	Version    int            `json:"version"`
	Run        string         `json:"run"`
	Checkpoint checkpointJSON `json:"checkpoint"`
	Files      []fileJSON     `json:"files"`
	PassedOver []damageJSON   `json:"passed_over"`
}

type fileJSON struct {
	Path string `json:"path"`
	Type string `json:"type"` // file, directory or link
	Mode string `json:"mode"` // permissions, octal
	Size int64  `json:"size"`
	Link string `json:"link,omitempty"`
}

func (a *app) showCheckpoint(ctx context.Context, run, task, id string) error {
	c, err := a.openCheckpoints(ctx, run)
	if err != nil {
		return err
	}
	defer c.close()
	s, err := c.one(ctx, task)
	if err != nil {
		return err
	}
	var (
		ref    checkpointing.Ref
		passed []checkpointing.Damaged
	)
	if id != "" {
		ref, err = c.find(s, id)
	} else {
		ref, passed, err = checkpointing.Newest(ctx, c.engine, c.prefix(s))
	}
	damaged := []damageJSON{}
	for _, d := range passed {
		damaged = append(damaged, damageOf(idText(d.Ref.ID), d.Err))
	}
	a.passedOver(damaged)
	if err != nil {
		return err
	}
	ref, entries, err := c.engine.Inspect(ctx, ref)
	if err != nil {
		return err
	}
	if a.json {
		shown := checkpointFilesJSON{Version: jsonVersion, Run: c.run, Checkpoint: c.view(s, ref), Files: []fileJSON{}, PassedOver: damaged}
		newest, _, err := c.newest(ctx, s)
		if err != nil {
			return err
		}
		shown.Checkpoint.Newest = ref.Key == newest.Key
		for _, entry := range entries {
			shown.Files = append(shown.Files, fileJSON{entry.Path, entryType(entry.Mode), fmt.Sprintf("%04o", entry.Mode.Perm()), entry.Size, entry.Link})
		}
		return a.printJSON(shown)
	}
	fmt.Fprintf(a.stdout, "%s checkpoint %s: %d files, %d bytes, saved %s\n", c.name(s), idText(ref.ID), ref.Files, ref.Bytes, ref.SavedAt.Local().Format(time.DateTime))
	var rows [][]string
	for _, entry := range entries {
		path := entry.Path
		if entry.Link != "" {
			path += " -> " + entry.Link
		}
		rows = append(rows, []string{entry.Mode.String(), fmt.Sprint(entry.Size), path})
	}
	printTable(a.stdout, []string{"MODE", "BYTES", "FILE"}, rows)
	return nil
}

func entryType(mode fs.FileMode) string {
	switch {
	case mode.IsDir():
		return "directory"
	case mode&fs.ModeSymlink != 0:
		return "link"
	}
	return "file"
}
