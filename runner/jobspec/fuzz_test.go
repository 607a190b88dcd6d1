package jobspec

import (
	"bytes"
	"io"
	"strings"
	"testing"

	"github.com/spotrelay/spotrelay/runner/job"
)

// FuzzLoad: whatever the text, reading it does not panic, every diagnostic has
// a place in a source, and what is read without errors is a whole spec.
func FuzzLoad(f *testing.F) {
	archives, err := seedTexts()
	if err != nil {
		f.Fatal(err)
	}
	for _, text := range archives {
		f.Add(text, "epochs=3", "name = 1")
	}
	f.Fuzz(func(t *testing.T, text, variable, environ string) {
		if len(text) > 1<<14 || strings.Contains(text, "pow") || strings.Contains(text, "%") {
			t.Skip("numbers that fill the memory are the user's own")
		}
		file, diagnostics := Load(Options{Files: []string{"-"}, Stdin: []byte(text), Variables: []string{variable}, Environ: []string{environPrefix + environ}, Describe: describeTest})
		checkPlaces(t, diagnostics)
		if (file == nil) != diagnostics.HasErrors() {
			t.Fatal("a file with errors, or none without")
		}
		if file != nil {
			checkSpec(t, file.Spec)
		}
		if err := diagnostics.WriteText(io.Discard, true, 40); err != nil {
			t.Fatal(err)
		}
		diagnostics.JSON()
	})
}

func checkPlaces(t *testing.T, diagnostics Diagnostics) {
	t.Helper()
	for _, diag := range diagnostics.List {
		if diag.Subject == nil || diag.Summary == "" {
			t.Fatalf("a diagnostic without a place or a text: %+v", diag)
		}
		source, ok := diagnostics.Sources[diag.Subject.Filename]
		if start, end := diag.Subject.Start, diag.Subject.End; ok && (start.Line < 1 || start.Column < 1 || start.Byte > end.Byte || end.Byte > len(source)) {
			t.Fatalf("%s: %v is not in its source", diag.Summary, diag.Subject)
		}
	}
}

// checkSpec holds a spec to what its readers rely on.
func checkSpec(t *testing.T, spec *job.Spec) {
	t.Helper()
	seen := map[string]bool{}
	for i := range spec.Tasks {
		task := &spec.Tasks[i]
		for _, needed := range task.DependsOn {
			if !seen[needed] {
				t.Fatalf("%s comes before %s, which it depends on", task.Name, needed)
			}
		}
		seen[task.Name] = true
		if len(task.Execution.Command) == 0 || len(task.Fleets) == 0 || task.Slots < 1 || task.Retries.Attempts < 1 || task.Retries.OnDemandAttempts > task.Retries.Attempts {
			t.Fatalf("an incomplete task: %+v", task)
		}
		if n := len(task.Elements); n != 0 && n != task.Count {
			t.Fatalf("%d elements of %d indexes", n, task.Count)
		}
		for index := range min(task.Count, 10) {
			for _, word := range task.ExecutionOf(index).Command {
				if strings.Contains(word, "Input-") && strings.Contains(word, "(") && len(word) > 30 && strings.Contains(word, ":-1)") {
					t.Fatalf("a token in a command: %s", word)
				}
			}
		}
		for _, name := range task.Fleets {
			if _, ok := spec.Fleet(name); !ok {
				t.Fatalf("%s uses fleet %s, which the spec does not have", task.Name, name)
			}
		}
	}
}

func FuzzFormat(f *testing.F) {
	texts, err := seedTexts()
	if err != nil {
		f.Fatal(err)
	}
	for _, text := range texts {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		file, diagnostics := Load(Options{Files: []string{"-"}, Stdin: text})
		once := Format(text)
		if file == nil || diagnostics.HasErrors() {
			return // only what is HCL must keep still
		}
		if twice := Format(once); !bytes.Equal(once, twice) {
			t.Fatalf("%q formatted twice:\n%q\n%q", text, once, twice)
		}
	})
}
