package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// place is a test's own world: bucket, instances, home, and the programs.
type place struct {
	t   testing.TB
	dir string
	env []string
}

// newPlace makes one whose instances are looked for, and ended, when the test
// is over.
func newPlace(t testing.TB) *place {
	t.Helper()
	if testing.Short() {
		t.Skip("starts real processes")
	}
	dir := t.TempDir()
	p := &place{t: t, dir: dir, env: append(os.Environ(), placeVariables(dir)...)}
	t.Cleanup(func() {
		if left := waitForNone(dir, 20*time.Second); len(left) > 0 {
			t.Errorf("processes are left behind:\n%s", strings.Join(left, "\n"))
			endProcesses(dir)
		}
	})
	return p
}

// placeVariables is the environment of a place.
func placeVariables(dir string) []string {
	return []string{
		"PATH=" + built + string(os.PathListSeparator) + os.Getenv("PATH"),
		"HOME=" + filepath.Join(dir, "home"),
		"XDG_STATE_HOME=", "XDG_CONFIG_HOME=", "XDG_DATA_HOME=",
		"SPOTRELAY_BUCKET=file://" + filepath.ToSlash(filepath.Join(dir, "bucket")),
		"SPOTRELAY_LOCAL_DIR=" + filepath.Join(dir, "local"),
		"SPOTRELAY_AGENT=", "SPOTRELAY_LOG=", "NO_COLOR=1",
		"GOCACHE=" + goEnv("GOCACHE"), "GOPATH=" + goEnv("GOPATH"), "GOFLAGS=" + goEnv("GOFLAGS"),
	}
}

var goEnvironment = map[string]string{}

// goEnv is what the go command uses, asked for once: a place has another home.
func goEnv(name string) string {
	if value, ok := goEnvironment[name]; ok {
		return value
	}
	out, err := exec.Command("go", "env", name).Output()
	if err != nil {
		return os.Getenv(name)
	}
	goEnvironment[name] = strings.TrimSpace(string(out))
	return goEnvironment[name]
}

// bucket is the folder of a place whose bucket is one.
func (p *place) bucket() string { return filepath.Join(p.dir, "bucket") }

// address is the bucket's.
func (p *place) address() string {
	address := ""
	for _, variable := range p.env {
		if value, ok := strings.CutPrefix(variable, "SPOTRELAY_BUCKET="); ok {
			address = value
		}
	}
	return address
}

// write makes a file in the place and gives its path.
func (p *place) write(name, text string) string {
	p.t.Helper()
	path := filepath.Join(p.dir, name)
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		p.t.Fatal(err)
	}
	return path
}

func (p *place) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, filepath.Join(built, "spotrelay"), args...)
	cmd.Dir, cmd.Env = p.dir, p.env
	return cmd
}

// spotrelay runs the program to its end and gives what it printed.
func (p *place) spotrelay(want int, args ...string) string {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	cmd := p.command(ctx, args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		p.t.Fatal(err)
	}
	if code := cmd.ProcessState.ExitCode(); code != want {
		p.t.Fatalf("spotrelay %s: exit code %d, not %d\n%s\n%s", strings.Join(args, " "), code, want, tail(stdout.String()), tail(stderr.String()))
	}
	return stdout.String()
}

func (p *place) read(path string) string {
	p.t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		p.t.Fatal(err)
	}
	return string(data)
}

func asExit(err error, exit **exec.ExitError) bool { return errors.As(err, exit) }

func tail(text string) string { return text[max(0, len(text)-8000):] }
