package jobspec

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
	"pgregory.net/rapid"

	"github.com/spotrelay/spotrelay/runner/job"
)

// seedTexts are the job files of all archives.
func seedTexts() ([]string, error) {
	paths, err := filepath.Glob("testdata/*.txtar")
	if err != nil {
		return nil, err
	}
	good, err := filepath.Glob("testdata/good/*.txtar")
	if err != nil {
		return nil, err
	}
	var texts []string
	for _, path := range append(paths, good...) {
		archive, err := txtar.ParseFile(path)
		if err != nil {
			return nil, err
		}
		for _, file := range archive.Files {
			if strings.HasSuffix(file.Name, ".hcl") {
				texts = append(texts, string(file.Data))
			}
		}
	}
	return texts, nil
}

// TestFormatTwice: formatting what is formatted changes nothing.
func TestFormatTwice(t *testing.T) {
	texts, err := seedTexts()
	if err != nil {
		t.Fatal(err)
	}
	changed := 0
	for _, text := range texts {
		once := Format([]byte(text))
		if string(once) != text {
			changed++
		}
		if twice := Format(once); !bytes.Equal(once, twice) {
			t.Errorf("formatted twice:\n%s\n%s", once, twice)
		}
	}
	if changed == 0 {
		t.Error("nothing was formatted")
	}
}

// TestUserTextSurvives: any text that a user gives in a command arrives as it
// is, beside placeholders that are expanded.
func TestUserTextSurvives(t *testing.T) {
	text := rapid.StringMatching(`[@{}a:$%!<>()~^ ]{0,12}`)
	rapid.Check(t, func(t *rapid.T) {
		before, after := text.Draw(t, "before"), text.Draw(t, "after")
		file, diagnostics := Load(Options{Files: []string{"-"}, Variables: []string{"b=" + before, "a=" + after}, Stdin: []byte(`
variable "a" {}
variable "b" {}
job "j" {
  task "made" {
    command = ["x"]
    output { path = "o" }
  }
  task "t" { command = ["${var.b}${task.made.output}${var.a}", "x${var.a}", jsonencode(["${var.b}${task.made.output}"])] }
}`)})
		if diagnostics.HasErrors() {
			t.Fatalf("%s", places(diagnostics))
		}
		expand := func(text string) string {
			return job.ExpandPlaceholders(text, func(name string) string { return "/in/" + name })
		}
		command := file.Spec.Tasks[1].Execution.Command
		if got, want := expand(command[0]), before+"/in/input:made"+after; got != want {
			t.Fatalf("%q became %q by %q", want, got, command[0])
		}
		if got, want := expand(command[1]), "x"+after; got != want {
			t.Fatalf("%q became %q by %q", want, got, command[1])
		}
	})
}
