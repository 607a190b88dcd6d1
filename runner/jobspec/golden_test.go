package jobspec

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/spotrelay/spotrelay/providers"
)

var update = flag.Bool("update", false, "write the golden files and docs/job-file.md anew")

// describeTest is the providers of the tests: test has a schema with all that
// schemas can have, spot-only no on-demand, others do not exist.
func describeTest(provider string) (providers.Description, error) {
	switch provider {
	case "local", "aws":
		return providers.Description{Name: provider, Capabilities: []providers.Capability{providers.CapabilityOnDemand}, Schema: providers.Schema{
			Attributes: []providers.Attribute{
				{Name: "preempt_after", Type: "list(duration)", Description: "When to preempt."},
				{Name: "notice", Type: "duration", Default: json.RawMessage(`"2m0s"`), Description: "How long the notice is."},
			},
		}}, nil
	case "spot-only":
		return providers.Description{Name: provider}, nil
	case "test":
		return providers.Description{Name: provider, Schema: testSchema, Capabilities: []providers.Capability{providers.CapabilityOnDemand}, BootTimeout: 3 * time.Minute, IdleTimeout: 2 * time.Minute}, nil
	}
	return providers.Description{}, errors.New("no plugin spotrelay-provider-" + provider + " is on the plugin path")
}

var testSchema = providers.Schema{
	Attributes: []providers.Attribute{
		{Name: "region", Type: "string", Required: true, Description: "Where."},
		{Name: "zones", Type: "list(string)", Description: "Which zones."},
		{Name: "wait", Type: "duration", Default: json.RawMessage(`"1m0s"`), Description: "How long to wait.", Example: `"90s"`},
		{Name: "room", Type: "size", Description: "How much room."},
		{Name: "tier", Type: "string", OneOf: []string{"gold", "silver"}, Description: "Which tier."},
		{Name: "weights", Type: "map(number)", Description: "Weights."},
		{Name: "preempt", Type: "list(duration)", Description: "When to preempt."},
		{Name: "on", Type: "bool", Description: "On or off."},
		{Name: "anything", Type: "future(thing)", Description: "Of a later contract."},
	},
	Blocks: []providers.Block{
		{Type: "volume", Max: 2, Description: "A volume.", Schema: providers.Schema{Attributes: []providers.Attribute{
			{Name: "kind", Type: "string", Required: true, Description: "What kind."},
			{Name: "size", Type: "size", Default: json.RawMessage(`"1000"`), Description: "How large."},
		}}},
		{Type: "disk", Max: 1, Description: "A disk.", Schema: providers.Schema{Attributes: []providers.Attribute{{Name: "gb", Type: "number", Description: "How large."}}}},
	},
}

// archive is a txtar file with job files NAME.hcl, each with what is expected
// of it under NAME.want, its arguments under NAME.args and its environment
// under NAME.env, and other files that they read.
type archive struct {
	path string
	*txtar.Archive
}

func openArchives(t *testing.T, pattern string) []archive {
	t.Helper()
	paths, err := filepath.Glob(pattern)
	if err != nil || len(paths) == 0 {
		t.Fatalf("no archives %s: %v", pattern, err)
	}
	var archives []archive
	for _, path := range paths {
		parsed, err := txtar.ParseFile(path)
		if err != nil {
			t.Fatal(err)
		}
		absolute, err := filepath.Abs(path)
		if err != nil {
			t.Fatal(err)
		}
		archives = append(archives, archive{absolute, parsed})
	}
	return archives
}

func (a archive) file(name string) ([]byte, bool) {
	for _, file := range a.Files {
		if file.Name == name {
			return file.Data, true
		}
	}
	return nil, false
}

// cases are the names of the job files at the archive's top that are no
// variable files.
func (a archive) cases() []string {
	var names []string
	for _, file := range a.Files {
		name, ok := strings.CutSuffix(file.Name, ".hcl")
		if ok && !strings.Contains(name, "/") && name != "vars" {
			names = append(names, name)
		}
	}
	return names
}

// options of a case, in the folder that the archive was written to.
func (a archive) options(name string) Options {
	opts := Options{Describe: describeTest}
	args, _ := a.file(name + ".args")
	words := strings.Fields(string(args))
	for len(words) > 0 {
		switch {
		case words[0] == "-var" && len(words) > 1:
			opts.Variables = append(opts.Variables, words[1])
			words = words[1:]
		case words[0] == "-var-file" && len(words) > 1:
			opts.VarFiles = append(opts.VarFiles, words[1])
			words = words[1:]
		default:
			opts.Files = append(opts.Files, words[0])
		}
		words = words[1:]
	}
	env, _ := a.file(name + ".env")
	opts.Environ = strings.Split(string(env), "\n")
	if opts.Files == nil {
		opts.Files = []string{name + ".hcl"}
	}
	return opts
}

// write puts the files into a folder of their own and goes there.
func (a archive) write(t *testing.T) {
	t.Helper()
	folder := t.TempDir()
	for _, file := range a.Files {
		path := filepath.Join(folder, file.Name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, file.Data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	t.Chdir(folder)
}

// golden compares with what the archive expects under a name, or notes it.
func (a archive) golden(t *testing.T, name string, got []byte) {
	t.Helper()
	want, _ := a.file(name)
	if bytes.Equal(want, got) {
		return
	}
	if !*update {
		t.Errorf("%s differs (-want +got):\n%s", name, cmp.Diff(string(want), string(got)))
		return
	}
	for i := range a.Files {
		if a.Files[i].Name == name {
			a.Files[i].Data = got
			return
		}
	}
	a.Files = append(a.Files, txtar.File{Name: name, Data: got})
}

func (a archive) save(t *testing.T) {
	t.Helper()
	if *update {
		if err := os.WriteFile(a.path, txtar.Format(a.Archive), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// places are diagnostics as lines: range, severity, summary, suggestion.
func places(d Diagnostics) []byte {
	var out bytes.Buffer
	for _, record := range d.Records() {
		r := record.Range
		fmt.Fprintf(&out, "%s:%d:%d-%d:%d %s: %s", r.File, r.Start.Line, r.Start.Column, r.End.Line, r.End.Column, record.Severity, record.Summary)
		if record.Suggestion != "" {
			fmt.Fprintf(&out, " (%s)", record.Suggestion)
		}
		out.WriteByte('\n')
	}
	return out.Bytes()
}

// TestFaults holds each fault to its place, its summary and its suggestion.
func TestFaults(t *testing.T) {
	for _, a := range openArchives(t, "testdata/*.txtar") {
		t.Run(strings.TrimSuffix(filepath.Base(a.path), ".txtar"), func(t *testing.T) {
			a.write(t)
			for _, name := range a.cases() {
				_, diagnostics := Load(a.options(name))
				got := places(diagnostics)
				if len(got) == 0 {
					t.Errorf("%s: no diagnostics", name)
				}
				a.golden(t, name+".want", got)
			}
			a.save(t)
		})
	}
}

// TestText holds the text that people see to a golden file.
func TestText(t *testing.T) {
	for _, a := range openArchives(t, "testdata/text/*.txtar") {
		a.write(t)
		for _, name := range a.cases() {
			_, diagnostics := Load(a.options(name))
			var out bytes.Buffer
			if err := diagnostics.WriteText(&out, false, 78); err != nil {
				t.Fatal(err)
			}
			a.golden(t, name+".text", out.Bytes())
			a.golden(t, name+".json", append(diagnostics.JSON(), '\n'))
		}
		a.save(t)
	}
}

// TestSpecs holds what good files become to golden files.
func TestSpecs(t *testing.T) {
	for _, a := range openArchives(t, "testdata/good/*.txtar") {
		t.Run(strings.TrimSuffix(filepath.Base(a.path), ".txtar"), func(t *testing.T) {
			a.write(t)
			for _, name := range a.cases() {
				file, diagnostics := Load(a.options(name))
				if diagnostics.Len() > 0 {
					t.Errorf("%s: %s", name, places(diagnostics))
					continue
				}
				file.Spec.Source.Text = ""
				spec, err := json.MarshalIndent(file.Spec, "", "  ")
				if err != nil {
					t.Fatal(err)
				}
				a.golden(t, name+".spec", append(spec, '\n'))
				var sentences bytes.Buffer
				for i := range file.Spec.Tasks {
					fmt.Fprintf(&sentences, "%s: %s\n", file.Spec.Tasks[i].Name, Explain(&file.Spec.Tasks[i], file.Spec))
				}
				a.golden(t, name+".explain", sentences.Bytes())
			}
			a.save(t)
		})
	}
}
