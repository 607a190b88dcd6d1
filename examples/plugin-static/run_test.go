package main

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spotrelay/spotrelay/providers"
)

// TestRunOfTheHelloExample goes the way of a user: build the plugin, hold it to
// the contract, lock it, run a job through it on two machines.
func TestRunOfTheHelloExample(t *testing.T) {
	r := newRig(t)
	r.server(2)
	r.server(2)
	p := newPrograms(t, r.dir)
	write(t, filepath.Join(r.dir, "config.json"), string(r.config(nil)))
	passed := p.run(t, "plugin", "test", filepath.Join(p.plugins, "spotrelay-provider-static"), "--config", "config.json", "--page", "3", "--json")
	if lines := strings.Split(strings.TrimSpace(passed), "\n"); !strings.Contains(lines[len(lines)-1], `"passed":true`) {
		t.Errorf("the plugin's test says:\n%s", passed)
	}
	p.run(t, "plugin", "lock", "static")

	fleet, err := json.Marshal(map[string]any{"version": 1, "provider": "static", "config": r.config(nil)})
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(r.dir, "lab.json"), string(fleet))
	hello, err := os.ReadFile("../hello/hello.hcl")
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(r.dir, "hello.hcl"), string(hello)+`
fleet "lab" {
  provider = "static"
  from     = "lab.json"
}
`)
	p.run(t, "run", "hello.hcl")
	p.run(t, "outputs", "last", "gather", "--to", "out")
	greetings, err := os.ReadFile(filepath.Join(r.dir, "out", "greetings.txt"))
	want := "hello world, from 0\nhello world, from 1\nhello world, from 2\n"
	if err != nil || string(greetings) != want {
		t.Errorf("%q, %v", greetings, err)
	}
	instances, err := newProvider().List(t.Context(), r.fleet(nil), nil)
	if err != nil {
		t.Fatal(err)
	}
	fleetOf := 0
	for _, instance := range instances {
		if instance.State != providers.StateTerminated {
			t.Errorf("%s is left", instance.ID)
		}
		if instance.Tags[providers.TagFleet] == "lab" {
			fleetOf++
		}
	}
	if fleetOf == 0 {
		t.Errorf("the run rented nothing here: %+v", instances)
	}
}

// programs are spotrelay, its agent and the plugin, as they are released.
type programs struct {
	dir, plugins string
	env          []string
}

func newPrograms(t *testing.T, dir string) programs {
	t.Helper()
	p := programs{dir: dir, plugins: filepath.Join(dir, "plugins")}
	bin := filepath.Join(dir, "bin")
	build := func(in string, args ...string) {
		command := exec.Command("go", append([]string{"build", "-trimpath", "-tags", "disable_grpc_modules", "-ldflags", "-s -w"}, args...)...)
		command.Dir, command.Env = in, append(os.Environ(), "CGO_ENABLED=0")
		if out, err := command.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	build("../..", "-o", bin+"/", "./cmd/spotrelay", "./cmd/spotrelay-agent")
	build(".", "-o", filepath.Join(p.plugins, "spotrelay-provider-static"), ".")
	p.env = append(os.Environ(),
		"HOME="+filepath.Join(dir, "home"), "XDG_CONFIG_HOME=", "XDG_STATE_HOME=", "XDG_DATA_HOME=", "NO_COLOR=1", "SPOTRELAY_AGENT=",
		"SPOTRELAY_BUCKET=file://"+filepath.Join(dir, "bucket"), "SPOTRELAY_PLUGIN_PATH="+p.plugins)
	return p
}

// run runs spotrelay, which must succeed, and gives what it printed.
func (p programs) run(t *testing.T, args ...string) string {
	t.Helper()
	command := exec.CommandContext(t.Context(), filepath.Join(p.dir, "bin", "spotrelay"), args...)
	command.Dir, command.Env = p.dir, p.env
	var stderr bytes.Buffer
	command.Stderr = &stderr
	out, err := command.Output()
	if err != nil {
		t.Fatalf("spotrelay %s: %v\n%s\n%s", strings.Join(args, " "), err, out, stderr.String())
	}
	return string(out)
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}
