//go:build linux

package relaytest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spotrelay/spotrelay/providers/gcp/computetest"
)

// place is a test's own world: a bucket, a job file, the programs, and a cloud
// whose instances are processes.
type place struct {
	t      testing.TB
	ctx    context.Context
	dir    string
	env    []string
	server *computetest.Server
}

// newPlace makes one. When the test is over nothing may be left in its cloud.
func newPlace(t testing.TB, o computetest.Options) *place {
	t.Helper()
	if testing.Short() {
		t.Skip("starts real processes")
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	p := &place{t: t, ctx: ctx, dir: t.TempDir()}
	p.env = append(os.Environ(),
		"PATH="+built(t)+string(os.PathListSeparator)+os.Getenv("PATH"),
		"HOME="+filepath.Join(p.dir, "home"), "XDG_STATE_HOME=", "XDG_CONFIG_HOME=", "XDG_DATA_HOME=",
		"XDG_CACHE_HOME="+filepath.Join(p.dir, "cache"),
		"SPOTRELAY_BUCKET=file://"+p.bucket(), "SPOTRELAY_AGENT=", "SPOTRELAY_LOG=", "NO_COLOR=1",
		"GOCACHE="+goEnv(t, "GOCACHE"), "GOPATH="+goEnv(t, "GOPATH"), "GOFLAGS="+goEnv(t, "GOFLAGS"))
	o.Machines, o.Anonymous = filepath.Join(p.dir, "m"), true
	o.Environment = []string{"GOCACHE=" + goEnv(t, "GOCACHE"), "GOPATH=" + goEnv(t, "GOPATH"), "SPOTRELAY_BUCKET="}
	p.server = computetest.Start(t, o)
	t.Cleanup(p.wantNothingLeft)
	return p
}

func (p *place) bucket() string { return filepath.Join(p.dir, "bucket") }

// wantNothingLeft wants no instance and no process of one.
func (p *place) wantNothingLeft() {
	for _, in := range p.server.Instances() {
		if !in.Gone {
			p.t.Errorf("the instance %s lives: %s", in.Name, in.Status)
		}
		if left := p.server.Processes(in.ID); in.Gone && len(left) > 0 {
			reached(context.Background(), p.t, "the end of the processes of "+in.Name, func() bool { return len(p.server.Processes(in.ID)) == 0 })
		}
	}
	if !p.t.Failed() {
		return
	}
	for _, in := range p.server.Instances() {
		if in.Folder != "" {
			p.t.Logf("console of %s in %s:\n%s", in.Name, in.Zone, tail(p.read(filepath.Join(in.Folder, "console.log"))))
			if text, err := os.ReadFile(filepath.Join(in.Folder, "agent", "boot", "agent.log")); err == nil {
				p.t.Logf("its agent's log:\n%s", tail(string(text)))
			}
		}
	}
}

// fleet is a fleet block on the place's cloud.
func (p *place) fleet(more string) string {
	return fmt.Sprintf(`
fleet "gcp" {
  provider = "gcp"

  config {
    project          = %q
    region           = "us-central1"
    endpoint         = %q
    billing_endpoint = %q
%s
  }
}
`, project, p.server.URL, p.server.URL, more)
}

// copyExample copies files of an example into the place, and writes a job file
// beside them.
func (p *place) copyExample(example, job string, files ...string) string {
	p.t.Helper()
	for _, name := range files {
		p.write(name, p.read(filepath.Join(repository(), "examples", example, name)))
	}
	return p.write("job.hcl", job)
}

func (p *place) write(name, text string) string {
	p.t.Helper()
	path := filepath.Join(p.dir, name)
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		p.t.Fatal(err)
	}
	return path
}

func (p *place) read(path string) string {
	data, err := os.ReadFile(path)
	if err != nil {
		p.t.Errorf("%v", err)
	}
	return string(data)
}

// spotrelay runs the program to its end, wants it to succeed, and gives what it
// printed.
func (p *place) spotrelay(args ...string) string {
	p.t.Helper()
	out, errs, err := p.try(args...)
	if err != nil {
		p.t.Fatalf("spotrelay %s: %v\n%s\n%s", strings.Join(args, " "), err, tail(out), tail(errs))
	}
	return out
}

func (p *place) try(args ...string) (stdout, stderr string, err error) {
	cmd := exec.CommandContext(p.ctx, filepath.Join(built(p.t), "spotrelay"), args...)
	var out, errs bytes.Buffer
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = p.dir, p.env, &out, &errs
	err = cmd.Run()
	return out.String(), errs.String(), err
}

// attempts of the last run.
func (p *place) attempts() []attempt {
	p.t.Helper()
	var list struct {
		Attempts []attempt `json:"attempts"`
	}
	if err := json.Unmarshal([]byte(p.spotrelay("attempts", "last", "--json")), &list); err != nil {
		p.t.Fatal(err)
	}
	return list.Attempts
}

// attempt is what attempts --json prints, as far as it is looked at.
type attempt struct {
	Attempt int    `json:"attempt"`
	Class   string `json:"class"`
	Cause   string `json:"cause"`
	Charge  string `json:"charge"`
	Final   bool   `json:"final"`
	Offer   struct {
		Zone     string `json:"zone"`
		Capacity string `json:"capacity"`
	} `json:"offer"`
	Instance string `json:"instance"`
	Evidence struct {
		End *struct {
			Notice *struct {
				Deadline time.Time `json:"deadline"`
			} `json:"notice"`
		} `json:"end"`
	} `json:"evidence"`
}

// committed are the attempts of the task train that have a checkpoint.
func (p *place) committed() int {
	files, err := filepath.Glob(filepath.Join(p.bucket(), "runs", "*", "checkpoints", "train", "0", "0", "*"))
	if err != nil {
		p.t.Error(err)
	}
	attempts := map[string]bool{}
	for _, file := range files {
		attempt, _, _ := strings.Cut(filepath.Base(file), "-")
		attempts[attempt] = true
	}
	return len(attempts)
}

func tail(text string) string { return text[max(0, len(text)-8000):] }
