package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// skeletonOf makes a skeleton in the place and gives its folder.
func skeletonOf(p *place, name string) string {
	p.spotrelay(exitSucceeded, "plugin", "new", name, "--replace", repository())
	return filepath.Join(p.dir, "spotrelay-provider-"+name)
}

// TestPluginNew: the skeleton compiles at once, in a module of its own, and what
// it does not do yet is said precisely.
func TestPluginNew(t *testing.T) {
	p := newPlace(t)
	dir := skeletonOf(p, "shed")
	for _, args := range [][]string{{"build"}, {"vet", "./..."}} {
		command := exec.Command("go", args...)
		command.Dir, command.Env = dir, p.env
		if out, err := command.CombinedOutput(); err != nil {
			t.Fatalf("go %s: %v\n%s", args, err, out)
		}
	}
	if out, err := exec.Command("gofmt", "-l", dir).CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("not formatted: %s %v", out, err)
	}
	said := p.spotrelay(exitFailed, "plugin", "test", filepath.Join(dir, "spotrelay-provider-shed"), "--config", filepath.Join(dir, "fleet.json"))
	for _, want := range []string{
		"passed   describe", "failed   check", "failed   offers",
		"check of the provider shed is not written yet (see step 2 in README.md)",
		"offers of the provider shed is not written yet (see step 3 in README.md)",
	} {
		if !strings.Contains(said, want) {
			t.Errorf("plugin test does not say %q:\n%s", want, said)
		}
	}
	readme := p.read(filepath.Join(dir, "README.md"))
	for i, file := range []string{"describe", "check", "offers", "launch", "list", "terminate", "evidence", "unfilled"} {
		if _, err := os.Stat(filepath.Join(dir, file+".go")); err != nil {
			t.Error(err)
		}
		step := regexp.MustCompile("(?m)^" + string(rune('1'+i)) + "\\. .*`" + file + "\\.go`")
		if !step.MatchString(readme) {
			t.Errorf("step %d of the README is not %s.go:\n%s", i+1, file, readme)
		}
	}
}

func TestPluginNewRefuses(t *testing.T) {
	p := newPlace(t)
	full := filepath.Join(p.dir, "full")
	if err := os.MkdirAll(full, 0o755); err != nil {
		t.Fatal(err)
	}
	p.write("full/file", "")
	file := p.write("go.mod", "module example.com/other\n\ngo 1.26\n")
	for name, args := range map[string][]string{
		"a bad name":             {"Azure"},
		"a path":                 {"../up"},
		"a builtin name":         {"local"},
		"a folder in use":        {"shed", "--dir", full},
		"a file as the folder":   {"shed", "--dir", file},
		"a bad module":           {"shed", "--module", "Not A Module"},
		"another source":         {"shed", "--replace", p.dir},
		"no source":              {"shed", "--replace", filepath.Join(p.dir, "nowhere")},
		"no name":                {},
		"two names":              {"shed", "barn"},
		"a folder below a file":  {"shed", "--dir", filepath.Join(file, "below")},
		"an option that is none": {"shed", "--nonsense"},
	} {
		t.Run(name, func(t *testing.T) {
			p.spotrelay(exitUsage, append([]string{"plugin", "new"}, args...)...)
		})
	}
	if _, err := os.Stat(filepath.Join(p.dir, "spotrelay-provider-shed")); !os.IsNotExist(err) {
		t.Errorf("a refused call left something: %v", err)
	}
}

// TestExampleIsTheSkeletonFilledIn: what docs/plugins.md takes its reader
// through begins as plugin new leaves it.
func TestExampleIsTheSkeletonFilledIn(t *testing.T) {
	p := newPlace(t)
	dir := skeletonOf(p, "folder")
	for _, file := range []string{"main.go", "provider.go"} {
		if got, want := p.read(example("plugin-folder/"+file)), p.read(filepath.Join(dir, file)); got != want {
			t.Errorf("examples/plugin-folder/%s is not what plugin new writes:\n%s", file, firstDifference(got, want))
		}
	}
}

// TestDocsForPluginAuthors runs the commands of docs/plugins.md as one session,
// as a reader would.
func TestDocsForPluginAuthors(t *testing.T) {
	p := newPlace(t)
	blocks := regexp.MustCompile("(?s)```sh\n(.*?)```").FindAllStringSubmatch(p.read(filepath.Join(repository(), "docs", "plugins.md")), -1)
	if len(blocks) < 6 {
		t.Fatalf("only %d blocks of commands", len(blocks))
	}
	script := "set -eu\n"
	for _, block := range blocks {
		// sh does not stop at a command whose success is unwanted.
		script += regexp.MustCompile(`(?m)^! (.*)$`).ReplaceAllString(block[1], "if $1; then echo 'it succeeded'; exit 1; fi")
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	command := exec.CommandContext(ctx, "sh", "-c", script)
	command.Dir = p.dir
	command.Env = append(p.env, "SPOTRELAY_SOURCE="+repository())
	if out, err := command.CombinedOutput(); err != nil {
		t.Errorf("the page's commands: %v\n%s", err, tail(string(out)))
	}
}
