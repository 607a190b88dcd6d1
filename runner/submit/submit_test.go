package submit

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spotrelay/spotrelay/checkpointing"
	"github.com/spotrelay/spotrelay/checkpointing/bucket"
	"github.com/spotrelay/spotrelay/providers"
	"github.com/spotrelay/spotrelay/runner/job"
	"github.com/spotrelay/spotrelay/runner/store"
)

func write(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func open(t *testing.T, dir string) bucket.Bucket {
	t.Helper()
	b, err := bucket.Open(t.Context(), "file://"+dir+"?sync=off")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return b
}

func options(t *testing.T, b bucket.Bucket, dir string) Options {
	t.Helper()
	agent := filepath.Join(t.TempDir(), "spotrelay-agent")
	if err := os.WriteFile(agent, []byte("program"), 0o755); err != nil {
		t.Fatal(err)
	}
	return Options{
		Bucket: b, Version: "v1", Agents: map[string]string{"linux-amd64": agent},
		Spec: &job.Spec{
			Job:    "train",
			Fleets: []job.Fleet{{Name: "here", Provider: "local"}},
			Tasks:  []job.Task{{Name: "train", Count: 1, Execution: job.Execution{Command: []string{"true"}}, Fleets: []string{"here"}}},
			Timing: job.Timing{Heartbeat: job.Duration(5 * time.Second)},
		},
		Workdir: &Workdir{Root: dir},
	}
}

func TestSubmit(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, map[string]string{
		"train.py": "print()", "lib/a.py": "a", ".git/HEAD": "ref", "lib/.spotrelay/x": "x",
		"bucket/secret": "not to be sent into itself",
	})
	b := open(t, filepath.Join(dir, "bucket"))
	opts := options(t, b, dir)
	run, err := Submit(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	spec, err := store.ReadSpec(t.Context(), b, run)
	if err != nil {
		t.Fatal(err)
	}
	if spec.Run != run || spec.Seed == 0 || spec.Source.Version != "v1" || opts.Spec.Run != "" {
		t.Errorf("the specification is %+v", spec)
	}
	timing := spec.Timing
	if timing.Heartbeat.D() != 5*time.Second || timing.Poll.D() != b.Describe().Poll || timing.Lease == 0 || timing.Silence.D() < 3*timing.Heartbeat.D() {
		t.Errorf("timing %+v", timing)
	}
	_, entries, err := checkpointing.Open(b).Inspect(t.Context(), checkpointing.Ref{Key: spec.Workdir.Key, Digest: spec.Workdir.Digest})
	if err != nil {
		t.Fatal(err)
	}
	var files []string
	for _, entry := range entries {
		if entry.Mode.IsRegular() {
			files = append(files, entry.Path)
		}
	}
	slices.Sort(files)
	if strings.Join(files, " ") != "lib/a.py train.py" {
		t.Errorf("sent %v", files)
	}
	program := spec.Agent["linux-amd64"]
	body, _, err := b.Get(t.Context(), program.Key, 0, -1)
	if err != nil || program.Bytes != 7 {
		t.Fatalf("%+v %v", program, err)
	}
	body.Close()
	again, err := Submit(t.Context(), opts)
	if err != nil || again == run {
		t.Fatalf("a second submission: %s %v", again, err)
	}
	if runs, _ := store.ListRuns(t.Context(), b); len(runs) != 2 {
		t.Errorf("runs %v", runs)
	}
}

// TestSubmitThatStops leaves no run behind, whatever it had sent.
func TestSubmitThatStops(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, map[string]string{"a": "a"})
	b := open(t, t.TempDir())
	ctx, stop := context.WithCancel(t.Context())
	opts := options(t, b, dir)
	opts.Progress = func(p checkpointing.Progress) {
		if p.Stage == checkpointing.StageCommitted {
			stop()
		}
	}
	if _, err := Submit(ctx, opts); err == nil {
		t.Fatal("it was stopped")
	}
	if runs, err := store.ListRuns(t.Context(), b); len(runs) != 0 || err != nil {
		t.Errorf("runs %v %v", runs, err)
	}
	var roots int
	for range store.Roots(t.Context(), b) {
		roots++
	}
	if roots > 1 {
		t.Errorf("%d roots", roots)
	}
}

// unused methods are those that nobody calls here.
type unused = providers.Provider

type suggesting struct{ unused }

func (suggesting) Describe(context.Context) (providers.Description, error) {
	return providers.Description{BootTimeout: 17 * time.Second, IdleTimeout: 3 * time.Second}, nil
}

func (s suggesting) Provider(context.Context, string) (providers.Provider, error) { return s, nil }

func TestProvidersTimingIsTheDefault(t *testing.T) {
	b := open(t, t.TempDir())
	opts := options(t, b, t.TempDir())
	opts.Providers, opts.Workdir = suggesting{}, nil
	opts.Spec.Timing.IdleTimeout = job.Duration(time.Second)
	run, err := Submit(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	spec, err := store.ReadSpec(t.Context(), b, run)
	if err != nil || spec.Timing.BootTimeout.D() != 17*time.Second || spec.Timing.IdleTimeout.D() != time.Second || spec.Workdir != nil {
		t.Errorf("%+v %v", spec, err)
	}
}

func TestSubmitRefuses(t *testing.T) {
	dir := t.TempDir()
	b := open(t, dir)
	for name, change := range map[string]func(*Options){
		"no task":          func(o *Options) { o.Spec.Tasks = nil },
		"no fleet":         func(o *Options) { o.Spec.Fleets = nil },
		"no agent":         func(o *Options) { o.Agents = nil },
		"missing agent":    func(o *Options) { o.Agents = map[string]string{"linux-amd64": "/nowhere/agent"} },
		"missing workdir":  func(o *Options) { o.Workdir.Root = "/nowhere/at/all" },
		"bucket as a root": func(o *Options) { o.Workdir.Root = dir },
	} {
		opts := options(t, b, t.TempDir())
		change(&opts)
		_, err := Submit(t.Context(), opts)
		var fault *Error
		if !errors.As(err, &fault) || fault.Hint == "" && name != "missing agent" {
			t.Errorf("%s: %v", name, err)
		}
	}
	if runs, _ := store.ListRuns(t.Context(), b); len(runs) != 0 {
		t.Errorf("runs %v", runs)
	}
}

// What a task's cache names of the workdir is digested when it is submitted:
// the same for the same files, whatever else there is.
func TestCacheFiles(t *testing.T) {
	files := map[string]string{"train.py": "print()", "data/a": "1", "notes.txt": "n"}
	submitted := func(change map[string]string, paths ...string) job.Cache {
		t.Helper()
		dir := t.TempDir()
		write(t, dir, files)
		write(t, dir, change)
		b := open(t, t.TempDir())
		opts := options(t, b, dir)
		opts.Workdir.Covers = func(pattern, path string) bool { return strings.HasPrefix(path, pattern) }
		opts.Spec.Tasks[0].Cache = &job.Cache{Version: "1", Paths: paths}
		run, err := Submit(t.Context(), opts)
		if err != nil {
			t.Fatal(err)
		}
		if opts.Spec.Tasks[0].Cache.Files != "" {
			t.Error("the caller's specification was changed")
		}
		spec, err := store.ReadSpec(t.Context(), b, run)
		if err != nil {
			t.Fatal(err)
		}
		if spec.Workdir.Content == "" {
			t.Error("the content of the workdir is not known")
		}
		return *spec.Tasks[0].Cache
	}
	first := submitted(nil, "train.py", "data/").Files
	if first == "" || first != submitted(map[string]string{"notes.txt": "other"}, "train.py", "data/").Files {
		t.Errorf("a file that is not named changed the digest %q", first)
	}
	for _, change := range []map[string]string{{"train.py": "print(1)"}, {"data/b": "new"}} {
		if submitted(change, "train.py", "data/").Files == first {
			t.Errorf("%v changed and the digest did not", change)
		}
	}
	if got := submitted(nil).Files; got != "" {
		t.Errorf("without a name the digest is %q", got)
	}
	opts := options(t, open(t, t.TempDir()), "")
	opts.Workdir = nil
	opts.Spec.Tasks[0].Cache = &job.Cache{Paths: []string{"x"}}
	var fault *Error
	if _, err := Submit(t.Context(), opts); !errors.As(err, &fault) || !strings.Contains(fault.What, "cache of task train") {
		t.Errorf("without a workdir: %v", err)
	}
}
