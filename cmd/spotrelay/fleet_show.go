package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/spotrelay/spotrelay/plugins"
	"github.com/spotrelay/spotrelay/providers"
)

func (a *app) fleetShowCommand() *cobra.Command {
	var flags fleetFlags
	cmd := &cobra.Command{
		Use:   "show FILE",
		Short: "Show a fleet's settings, with defaults filled in",
		Long: `Shows what a run in the fleet is given: provider, bucket and the config block, with
the provider's defaults. FILE is a fleet file (.json), or a job file with --fleet.
Nothing is asked of the cloud.`,
		Example: `  spotrelay fleet show batch.json
  spotrelay fleet show --fleet aws job.hcl --json | jq .config`,
		Args:              exact("FILE"),
		ValidArgsFunction: completeFleet,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withFleet(cmd.Context(), args[0], flags, func(f *chosenFleet, _ *plugins.Manager) error { return a.showFleet(f) })
		},
	}
	flags.add(cmd)
	return cmd
}

// fleetJSON is what fleet show --json prints.
type fleetJSON struct {
	Version  int             `json:"version"`
	Fleet    string          `json:"fleet"`
	File     string          `json:"file"`
	Provider string          `json:"provider"`
	Bucket   string          `json:"bucket"`
	Config   json.RawMessage `json:"config"` // with defaults
	Defaults []string        `json:"defaults"`
	Unset    []string        `json:"unset"`
}

func (a *app) showFleet(f *chosenFleet) error {
	view := fleetJSON{
		Version: jsonVersion, Fleet: f.Name, File: f.path, Provider: f.Provider, Bucket: f.bucket, Config: f.Config,
		Defaults: []string{}, Unset: []string{},
	}
	var values map[string]json.RawMessage
	if len(f.Config) > 0 {
		if err := json.Unmarshal(f.Config, &values); err != nil {
			return fmt.Errorf("reading the config of fleet %s: %w", f.Name, err)
		}
	}
	for _, attribute := range f.about.Schema.Attributes {
		switch value, ok := values[attribute.Name]; {
		case !ok || string(value) == "null":
			view.Unset = append(view.Unset, attribute.Name)
		case sameJSON(value, attribute.Default):
			view.Defaults = append(view.Defaults, attribute.Name)
		}
	}
	for _, block := range f.about.Schema.Blocks {
		if _, ok := values[block.Type]; !ok {
			view.Unset = append(view.Unset, block.Type)
		}
	}
	if a.json {
		return a.printJSON(view)
	}
	fmt.Fprintf(a.stdout, "fleet %s of provider %s, bucket %s\n", view.Fleet, view.Provider, view.Bucket)
	printSettings(a.stdout, "  ", f.about.Schema, values)
	if len(view.Unset) > 0 {
		fmt.Fprintf(a.stdout, "not set: %s\n", strings.Join(view.Unset, ", "))
	}
	return nil
}

// printSettings prints a config block in the order of its schema.
func printSettings(w io.Writer, indent string, schema providers.Schema, values map[string]json.RawMessage) {
	width := 0
	for _, attribute := range schema.Attributes {
		if _, ok := values[attribute.Name]; ok {
			width = max(width, len(attribute.Name))
		}
	}
	for _, attribute := range schema.Attributes {
		value, ok := values[attribute.Name]
		if !ok || string(value) == "null" {
			continue
		}
		note := ""
		if sameJSON(value, attribute.Default) {
			note = "  (default)"
		}
		fmt.Fprintf(w, "%s%-*s = %s%s\n", indent, width, attribute.Name, value, note)
	}
	for _, block := range schema.Blocks {
		var list []map[string]json.RawMessage
		if json.Unmarshal(values[block.Type], &list) != nil {
			continue // there is none
		}
		for _, nested := range list {
			fmt.Fprintf(w, "%s%s\n", indent, block.Type)
			printSettings(w, indent+"  ", block.Schema, nested)
		}
	}
}

// sameJSON reports whether two values are written alike, spaces aside.
func sameJSON(a, b json.RawMessage) bool {
	if len(a) == 0 || len(b) == 0 {
		return false
	}
	var left, right bytes.Buffer
	return json.Compact(&left, a) == nil && json.Compact(&right, b) == nil && bytes.Equal(left.Bytes(), right.Bytes())
}
