package jobspec

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/spotrelay/spotrelay/providers"
	"github.com/spotrelay/spotrelay/runner/job"
)

// load reads text as a job file that must be good.
func load(t testing.TB, text string, variables ...string) *File {
	t.Helper()
	file, diagnostics := Load(Options{Files: []string{"-"}, Stdin: []byte(text), Variables: variables, Describe: describeTest})
	if diagnostics.HasErrors() {
		t.Fatalf("%s", places(diagnostics))
	}
	return file
}

func TestSameFileSameSpec(t *testing.T) {
	for _, a := range openArchives(t, "testdata/good/*.txtar") {
		a.write(t)
		for _, name := range a.cases() {
			first, _ := Load(a.options(name))
			second, _ := Load(a.options(name))
			if diff := cmp.Diff(first.Spec, second.Spec); diff != "" {
				t.Errorf("%s: %s", name, diff)
			}
		}
	}
}

func TestSpecSurvivesJSON(t *testing.T) {
	file := load(t, `job "j" {
  task "t" {
    count   = 2
    command = ["x", count.index]
    timeout = "2d"
  }
}`)
	data, err := json.Marshal(file.Spec)
	if err != nil {
		t.Fatal(err)
	}
	var back job.Spec
	if err := json.Unmarshal(data, &back); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(file.Spec, &back); diff != "" {
		t.Error(diff)
	}
}

// TestPrecedence: -var wins over the last -var-file, over an earlier one, over
// the environment, over the default.
func TestPrecedence(t *testing.T) {
	t.Chdir(t.TempDir())
	for name, text := range map[string]string{
		"job.hcl": `variable "v" { default = "default" }
job "j" {
  task "t" { command = ["x", var.v] }
}`,
		"one.hcl": `v = "one"`, "two.json": `{"v": "two"}`,
	} {
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	base := Options{Files: []string{"job.hcl"}}
	env, one, two, arg := base, base, base, base
	env.Environ = []string{"PATH=/bin", "SPOTRELAY_VAR_v=env", "SPOTRELAY_VAR_other=x"}
	one.Environ, one.VarFiles = env.Environ, []string{"one.hcl"}
	two.Environ, two.VarFiles = env.Environ, []string{"one.hcl", "two.json"}
	arg.Environ, arg.VarFiles, arg.Variables = env.Environ, two.VarFiles, []string{"v=first", "v=a=b"}
	for want, opts := range map[string]Options{"default": base, "env": env, "one": one, "two": two, "a=b": arg} {
		file, diagnostics := Load(opts)
		if diagnostics.Len() > 0 {
			t.Fatalf("%s: %s", want, places(diagnostics))
		}
		if got := file.Spec.Tasks[0].Execution.Command[1]; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
		if got := file.Spec.Source.Variables["v"]; got != fmt.Sprintf("%q", want) {
			t.Errorf("kept %s, want %q", got, want)
		}
	}
}

// TestSecretsStayOut: no message and nothing kept beside the command has the
// value of a sensitive variable.
func TestSecretsStayOut(t *testing.T) {
	for _, a := range openArchives(t, "testdata/variables.txtar") {
		a.write(t)
		_, diagnostics := Load(a.options("secret"))
		var text bytes.Buffer
		if err := diagnostics.WriteText(&text, true, 100); err != nil {
			t.Fatal(err)
		}
		text.Write(diagnostics.JSON())
		if strings.Contains(text.String(), "hunter") {
			t.Error(text.String())
		}
	}
	file := load(t, `variable "key" { sensitive = true }
locals { both = "k-${var.key}" }
job "j" {
  task "t" {
    command = ["x", local.both]
    env     = { KEY = var.key }
  }
}`, "key=hunter2")
	if got := file.Spec.Tasks[0].Execution.Command[1]; got != "k-hunter2" {
		t.Error(got)
	}
	if len(file.Spec.Source.Variables) != 0 {
		t.Error(file.Spec.Source.Variables)
	}
}

// TestFilesStayInFolder: neither .. nor a link leads file() out of the job
// file's folder.
func TestFilesStayInFolder(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("links need a privilege there")
	}
	folder := t.TempDir()
	inside := filepath.Join(folder, "inside")
	if err := os.Mkdir(inside, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{filepath.Join(folder, "secret"): "s", filepath.Join(inside, "open"): "o"} {
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(filepath.Join(folder, "secret"), filepath.Join(inside, "link")); err != nil {
		t.Fatal(err)
	}
	for path, good := range map[string]bool{"open": true, "./open": true, "../secret": false, "link": false, filepath.Join(folder, "secret"): false, "x/../open": true, "none": false, ".": false} {
		_, err := readInFolder(inside, path)
		if (err == nil) != good {
			t.Errorf("%s: %v", path, err)
		}
	}
}

func TestFleetFaults(t *testing.T) {
	file := load(t, `job "j" {
  task "t" { command = ["x"] }
}
fleet "f" {
  provider = "test"
  config {
    region = "r"
    volume { kind = "a" }
    volume { kind = "b" }
  }
}`)
	faults := []providers.Fault{
		{Severity: providers.SeverityError, Path: []string{"region"}, Summary: "no such region"},
		{Severity: providers.SeverityWarning, Path: []string{"volume", "1", "kind"}, Summary: "slow"},
		{Severity: providers.SeverityError, Path: []string{"volume", "1", "size"}, Summary: "small"},
		{Severity: providers.SeverityError, Summary: "all wrong"},
	}
	got := string(places(file.FleetFaults("f", faults)))
	want := `<stdin>:7:14-7:17 error: no such region
<stdin>:9:21-9:24 warning: slow
<stdin>:9:5-9:11 error: small
<stdin>:4:1-4:10 error: all wrong
`
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if got := string(places(file.FleetFaults("gone", faults[3:]))); got != "<stdin>:1:1-1:1 error: all wrong\n" {
		t.Error(got)
	}
}

// TestProviderTiming: what providers wish for is taken where the file is
// silent; the longest of all fleets.
func TestProviderTiming(t *testing.T) {
	text := `job "j" {
  fleets = %s
  task "t" { command = ["x"] }
}
fleet "f" {
  provider = "test"
  config { region = "r" }
}`
	alone := load(t, fmt.Sprintf(text, `["f"]`)).Spec.Timing
	both := load(t, fmt.Sprintf(text, `["f", "local"]`)).Spec.Timing
	if alone.BootTimeout.D() != 3*time.Minute || alone.IdleTimeout.D() != 2*time.Minute {
		t.Error(alone)
	}
	if both.BootTimeout.D() != 10*time.Minute || both.IdleTimeout.D() != 2*time.Minute {
		t.Error(both)
	}
}

func TestFolderAsJobFile(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := os.MkdirAll("jobs", 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"jobs/a.hcl": "locals { x = file(\"notes.md\") }", "jobs/notes.md": "note", "jobs/.hidden.hcl": "((",
		"jobs/b.hcl": "job \"j\" {\n workdir { root = \"..\" }\n task \"t\" { command = [\"x\", local.x] }\n}",
	} {
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	file, diagnostics := Load(Options{Files: []string{"jobs"}})
	if diagnostics.Len() > 0 {
		t.Fatalf("%s", places(diagnostics))
	}
	if diff := cmp.Diff([]string{"jobs/a.hcl", "jobs/b.hcl"}, file.Paths); diff != "" {
		t.Error(diff)
	}
	if file.Workdir.Root != "." || file.Spec.Tasks[0].Execution.Command[1] != "note" || !strings.Contains(file.Spec.Source.Text, "# file jobs/b.hcl") {
		t.Error(file.Workdir.Root, file.Spec.Tasks[0].Execution.Command, file.Spec.Source.Text)
	}
}

// bigArray has an array of many indexes, each with its own command and env.
const bigArray = `job "j" {
  task "made" {
    count   = %d
    command = ["python3", "x.py", "--shard", count.index, "--of", "100000"]
    env     = { NAME = "shard-${count.index}", FIXED = "f" }
  }
}`

func TestManyIndexes(t *testing.T) {
	const count = 100_000
	file := load(t, fmt.Sprintf(bigArray, count))
	task := &file.Spec.Tasks[0]
	if len(task.Elements) != count {
		t.Fatal(len(task.Elements))
	}
	last := task.ExecutionOf(count - 1)
	if last.Command[3] != "99999" || last.Env["NAME"] != "shard-99999" || last.Env["FIXED"] != "f" {
		t.Error(last)
	}
	if len(task.Elements[5].Env) != 1 {
		t.Errorf("an element has more than what differs: %v", task.Elements[5].Env)
	}
	same := load(t, strings.ReplaceAll(fmt.Sprintf(bigArray, count), "count.index", "1"))
	if same.Spec.Tasks[0].Elements != nil {
		t.Error("elements though nothing differs")
	}
}

func BenchmarkLoad100k(b *testing.B) {
	for name, text := range map[string]string{
		"differs": fmt.Sprintf(bigArray, 100_000),
		"same":    strings.ReplaceAll(fmt.Sprintf(bigArray, 100_000), "count.index", "1"),
		"inputs": `job "j" {
  task "a" {
    count   = 100000
    command = ["x"]
    output { path = "o" }
  }
  task "b" {
    count   = 100000
    command = ["x", "${task.a[count.index].output}/y"]
  }
}`,
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				load(b, text)
			}
		})
	}
}
