package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/spotrelay/spotrelay/runner/job"
	"github.com/spotrelay/spotrelay/runner/store"
)

func (a *app) sourceCommand() *cobra.Command {
	var file bool
	cmd := &cobra.Command{
		Use:   "source RUN",
		Short: "Show what a run was made from",
		Long: `Shows what a run was made from: the job file as it was, its variables, the git
commit it lay in, the files that were sent, inputs, images, and the versions of
spotrelay, agents and provider plugins. --file prints the text of the job file alone.`,
		Example: `  spotrelay source last
  spotrelay source last --file > job.hcl
  spotrelay source last --json`,
		Args:              exact("RUN"),
		ValidArgsFunction: a.completeRun,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.showSource(cmd.Context(), args[0], file)
		},
	}
	cmd.Flags().BoolVar(&file, "file", false, "print the text of the job file, and nothing else")
	return cmd
}

// sourceJSON is what source --json prints.
type sourceJSON struct {
	Version  int                    `json:"version"`
	Run      string                 `json:"run"`
	Job      string                 `json:"job"`
	Created  time.Time              `json:"created"`
	Source   job.Source             `json:"source"`
	Workdir  *job.Manifest          `json:"workdir,omitempty"`
	Inputs   []job.SourceInput      `json:"inputs,omitempty"`
	Images   map[string]string      `json:"images,omitempty"` // by task, where the job file names one
	Agent    map[string]job.Program `json:"agent"`
	Seeds    map[string][]uint64    `json:"seeds"` // SPOTRELAY_SEED, by task and index
	Recovers string                 `json:"recovers,omitempty"`
}

func (a *app) showSource(ctx context.Context, ref string, file bool) error {
	b, err := a.openBucket(ctx)
	if err != nil {
		return err
	}
	defer b.Close()
	run, err := resolveRun(ctx, b, ref)
	if err != nil {
		return err
	}
	spec, err := store.ReadSpec(ctx, b, run)
	if err != nil {
		return err
	}
	if file {
		_, err := fmt.Fprint(a.stdout, spec.Source.Text)
		return err
	}
	view := sourceView(spec)
	if a.json {
		return a.printJSON(view)
	}
	a.printSource(&view)
	return nil
}

func sourceView(spec *job.Spec) sourceJSON {
	view := sourceJSON{
		Version: jsonVersion, Run: spec.Run, Job: spec.Job, Created: spec.Created, Source: spec.Source,
		Workdir: spec.Workdir, Inputs: spec.Inputs, Images: map[string]string{}, Agent: spec.Agent, Seeds: map[string][]uint64{},
	}
	if spec.Recovery != nil {
		view.Recovers = spec.Recovery.Run
	}
	for i := range spec.Tasks {
		task := &spec.Tasks[i]
		if task.Image != "" {
			view.Images[task.Name] = task.Image
		}
		seeds := make([]uint64, task.Count)
		for index := range seeds {
			seeds[index] = task.SeedOf(index)
		}
		view.Seeds[task.Name] = seeds
	}
	return view
}

func (a *app) printSource(view *sourceJSON) {
	line := func(name, value string) {
		if value != "" {
			fmt.Fprintf(a.stdout, "%-12s%s\n", name, value)
		}
	}
	line("run", view.Run)
	line("job", view.Job)
	line("submitted", view.Created.Local().Format(time.DateTime))
	line("recovers", view.Recovers)
	line("file", view.Source.File)
	line("git", gitText(view.Source.Git))
	for _, name := range sortedKeys(view.Source.Variables) {
		line("variable", name+" = "+view.Source.Variables[name])
	}
	line("environment", strings.Join(view.Source.Environment, ", "))
	if view.Workdir != nil {
		line("workdir", manifestText(view.Workdir))
	}
	for i := range view.Inputs {
		line("input", fmt.Sprintf("%s from %s: %s", view.Inputs[i].Name, view.Inputs[i].Source, manifestText(&view.Inputs[i].Manifest)))
	}
	for _, task := range sortedKeys(view.Images) {
		line("image", view.Images[task]+" of task "+task)
	}
	line("spotrelay", view.Source.Version)
	for _, platform := range sortedKeys(view.Agent) {
		line("agent", fmt.Sprintf("%s, SHA-256 %s", platform, shortDigest(view.Agent[platform].SHA256)))
	}
	for _, name := range sortedKeys(view.Source.Providers) {
		line("provider", name+" "+view.Source.Providers[name])
	}
}

func gitText(git *job.Git) string {
	if git == nil {
		return ""
	}
	text := git.Commit
	if text == "" {
		text = "before the first commit"
	}
	if git.Branch != "" {
		text += " of branch " + git.Branch
	}
	if git.Dirty {
		text += ", with changes that are not committed"
	}
	return text
}

func manifestText(m *job.Manifest) string {
	digest := m.Content
	if digest == "" {
		digest = m.Digest
	}
	return fmt.Sprintf("%s, %d bytes, content %s", countText(m.Files, "file", "files"), m.Bytes, shortDigest(digest))
}
