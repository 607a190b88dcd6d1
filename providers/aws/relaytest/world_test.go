package relaytest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/spotrelay/spotrelay/providers/aws/ec2test"
)

// patience bounds a hang; nothing takes that long.
const patience = 5 * time.Minute

// built is the folder with the programs under test.
var built string

func TestMain(m *testing.M) {
	os.Exit(testMain(m))
}

func testMain(m *testing.M) int {
	dir, err := os.MkdirTemp("", "spotrelay-aws-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	build := exec.Command("go", "build", "-trimpath", "-tags", "disable_grpc_modules", "-ldflags", "-s -w", "-o", dir, "./cmd/spotrelay", "./cmd/spotrelay-agent")
	build.Dir = repository()
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "building the programs under test: %v\n%s", err, out)
		return 1
	}
	built = dir
	return m.Run()
}

// repository is the module's root.
func repository() string {
	_, file, _, _ := runtime.Caller(0)
	return filepath.Dir(filepath.Dir(filepath.Dir(filepath.Dir(file))))
}

func goEnv(name string) string {
	out, err := exec.Command("go", "env", name).Output()
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(out))
}

// world is a user with a folder, the programs, a bucket and an EC2.
type world struct {
	t     *testing.T
	dir   string
	env   []string
	cloud *ec2test.Server
}

// newWorld makes one whose instances are records.
func newWorld(t *testing.T, options ec2test.Options) *world {
	t.Helper()
	return makeWorld(t, t.TempDir(), options)
}

// newRealWorld makes one whose instances are real: a plain image with Go on it.
func newRealWorld(t *testing.T, options ec2test.Options) *world {
	t.Helper()
	if err := ec2test.MachinesWork(); err != nil {
		t.Skipf("NO RELAY ON REAL INSTANCES HERE: %v. TestPluginConformance has the provider, and cmd/spotrelay's tests have the agent on the local provider", err)
	}
	dir := t.TempDir()
	root, cache := goEnv("GOROOT"), goEnv("GOCACHE")
	options.Machines = &ec2test.Machines{
		Dir:   filepath.Join(dir, "instances"),
		Share: []string{filepath.Join(dir, "bucket"), root, cache},
		// A checkpoint of 4 MiB takes a second, however fast the machine is.
		Environment: []string{"SPOTRELAY_UPLOAD_LIMIT=4194304"},
		Programs: map[string]string{
			"go": fmt.Sprintf("#!/bin/sh\nexport GOROOT='%s' GOCACHE='%s' GOFLAGS='' GOTOOLCHAIN=local\nexec \"$GOROOT/bin/go\" \"$@\"\n", root, cache),
		},
	}
	return makeWorld(t, dir, options)
}

func makeWorld(t *testing.T, dir string, options ec2test.Options) *world {
	t.Helper()
	if testing.Short() {
		t.Skip("starts real processes")
	}
	w := &world{t: t, dir: dir}
	for _, folder := range []string{"bucket", "home", "instances"} {
		if err := os.MkdirAll(filepath.Join(dir, folder), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	w.cloud = ec2test.Start(t, options)
	w.env = append(os.Environ(), w.cloud.Environment()...)
	w.env = append(
		w.env,
		"PATH="+built+string(os.PathListSeparator)+os.Getenv("PATH"),
		"HOME="+filepath.Join(dir, "home"), "XDG_STATE_HOME=", "XDG_CONFIG_HOME=", "XDG_DATA_HOME=", "XDG_CACHE_HOME=",
		"SPOTRELAY_BUCKET=file://"+filepath.ToSlash(filepath.Join(dir, "bucket")),
		"SPOTRELAY_AGENT=", "SPOTRELAY_LOG=", "NO_COLOR=1",
		"GOCACHE="+goEnv("GOCACHE"), "GOPATH="+goEnv("GOPATH"),
	)
	return w
}

// write makes a file and gives its path.
func (w *world) write(name, text string) string {
	w.t.Helper()
	path := filepath.Join(w.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		w.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		w.t.Fatal(err)
	}
	return path
}

func (w *world) read(path string) string {
	w.t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		w.t.Fatal(err)
	}
	return string(data)
}

// spotrelay runs the program to its end and gives what it printed.
func (w *world) spotrelay(want int, args ...string) string {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(built, "spotrelay"), args...)
	cmd.Dir, cmd.Env = w.dir, w.env
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		w.t.Fatal(err)
	}
	if code := cmd.ProcessState.ExitCode(); code != want {
		w.t.Errorf("spotrelay %s: exit code %d, not %d\n%s\n%s", strings.Join(args, " "), code, want, tail(stdout.String()), tail(stderr.String()))
		w.consoles()
		w.t.FailNow()
	}
	return stdout.String()
}

func tail(text string) string { return text[max(0, len(text)-8000):] }

// consoles logs what instances said.
func (w *world) consoles() {
	for _, i := range w.cloud.Instances() {
		w.t.Logf("console of %s (%s, %s):\n%s", i.ID, i.Pool, i.State, tail(w.cloud.Console(i.ID)))
	}
}

// ask reads what a command prints as JSON.
func (w *world) ask(into any, args ...string) {
	w.t.Helper()
	if err := json.Unmarshal([]byte(w.spotrelay(0, append(args, "--json")...)), into); err != nil {
		w.t.Fatal(err)
	}
}

// newest is the last attempt of a task that has committed a checkpoint, 0 for
// none.
func (w *world) newest(task string) (attempt int) {
	w.t.Helper()
	files, err := filepath.Glob(filepath.Join(w.dir, "bucket", "runs", "*", "checkpoints", task, "0", "0", "*"))
	if err != nil {
		w.t.Fatal(err)
	}
	for _, file := range files {
		var of, sequence int
		if _, err := fmt.Sscanf(filepath.Base(file), "%d-%d", &of, &sequence); err == nil { // it may be on its way
			attempt = max(attempt, of)
		}
	}
	return attempt
}

// until waits for a condition, or for the end of the run.
func until(ended <-chan struct{}, holds func() bool) bool {
	look := time.NewTicker(20 * time.Millisecond)
	defer look.Stop()
	for !holds() {
		select {
		case <-look.C:
		case <-ended:
			return false
		}
	}
	return true
}
