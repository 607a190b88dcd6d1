//go:build linux

package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spotrelay/spotrelay/checkpointing/bucket"
	_ "github.com/spotrelay/spotrelay/checkpointing/bucket/s3bucket" // opens s3://
	"github.com/spotrelay/spotrelay/checkpointing/bucket/servertest"
	"github.com/spotrelay/spotrelay/providers"
)

const (
	steps = 4
	state = 14 << 20 // bytes; more than a pack holds, so that a save takes several writes
	// uploadLimit of a machine, in bytes a second: a save takes some seconds.
	uploadLimit = 3 << 19
)

// TestInterruptionsOfRealMachines runs a task on machines of which two may live. The first is cut
// off in the middle of a save, with no notice; the task goes on elsewhere from
// the last whole checkpoint, gets a notice from that machine's metadata service,
// saves, and goes on again to the end.
func TestInterruptionsOfRealMachines(t *testing.T) {
	w := newWorld(t)
	w.write("job.hcl", fmt.Sprintf(`
job "steps" {
  workdir {
    include = ["steps"]
  }

  task "steps" {
    command = ["./steps", "-steps", "%d", "-size", "%d"]

    checkpoint {
      path     = "ckpt"
      interval = "0s" # the task asks for each
    }

    output {
      path = "out"
    }

    retries {
      attempts = 4
      backoff  = { initial = "1s" }
    }
  }
}

fleet "machines" {
  provider = "qemu"
  from     = "machines.json"
}
`, steps, state))
	run := w.command("run", "job.hcl")
	var said bytes.Buffer
	run.Stdout, run.Stderr = &said, &said
	if err := run.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- run.Wait() }()

	first := w.instanceOf(1)
	w.until("a checkpoint of the first attempt", func() bool { return w.count("checkpoints/steps/0/0/", 1) > 0 })
	before, manifests := w.count("data/", 0), w.count("checkpoints/", 0)
	w.until("a save that has sent a part and not committed", func() bool {
		data, committed := w.count("data/", 0), w.count("checkpoints/", 0)
		if committed > manifests { // that save was quicker than this look
			before, manifests = data, committed
			return false
		}
		return data > before
	})
	w.spotrelay("preempt", first, "--no-notice")
	if now := w.count("checkpoints/", 0); now != manifests {
		t.Errorf("the machine was not cut off in the middle of a save: %d checkpoints, then %d", manifests, now)
	}

	second := w.instanceOf(2)
	if second == first {
		t.Errorf("the second attempt is on %s again", first)
	}
	w.until("a checkpoint of the second attempt", func() bool { return w.count("checkpoints/steps/0/0/", 2) > 0 })
	w.spotrelay("preempt", second, "--notice", "40s")
	if err := <-ended; err != nil {
		t.Fatalf("%v\n%s\n%s", err, said.String(), w.consoles())
	}
	w.checkAttempts(first, second)
	w.spotrelay("outputs", "last", "steps", "--to", "result")
	if got, want := w.read("result/sum.txt"), expected(); got != want {
		t.Errorf("the result is %q, without interruptions it is %q", got, want)
	}
	for _, machine := range w.machines() {
		if machine.State != providers.StateTerminated {
			t.Errorf("%s is left", machine.ID)
		}
	}
	if t.Failed() {
		t.Logf("the run said:\n%s\n%s", said.String(), w.consoles())
	}
}

// expected is the result of an uninterrupted run.
func expected() string {
	var sum [sha256.Size]byte
	for step := 1; step <= steps; step++ {
		sum = sha256.Sum256(fmt.Appendf(nil, "%x %d", sum, step))
	}
	return fmt.Sprintf("%x\n", sum)
}

// world is a test's own: the programs, a store, a cloud of two machines.
type world struct {
	t      *testing.T
	dir    string
	env    []string
	bucket bucket.Bucket
	fleet  providers.Fleet
}

// kernelVariable names a folder with an unpacked linux-image-cloud-amd64.
const kernelVariable = "SPOTRELAY_TEST_KERNEL"

func newWorld(t *testing.T) *world {
	t.Helper()
	config := machineConfig(t)
	server := servertest.StartS3(t, nil)
	w := &world{t: t, dir: t.TempDir()}
	address := server.URL("runs-of-qemu")
	opened, err := bucket.Open(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	w.bucket = opened
	t.Cleanup(func() { _ = opened.Close() })
	endpoint, err := url.Parse(server.Endpoint)
	if err != nil {
		t.Fatal(err)
	}
	build(t, "../..", filepath.Join(w.dir, "bin")+"/", "./cmd/spotrelay", "./cmd/spotrelay-agent")
	build(t, ".", filepath.Join(w.dir, "plugins", "spotrelay-provider-qemu"), ".")
	build(t, ".", filepath.Join(w.dir, "steps"), "./steps")
	port := json.Number(endpoint.Port())
	config["agent"], config["forward"], config["memory_mib"] = filepath.Join(w.dir, "bin", "spotrelay-agent"), []json.Number{port}, 768
	config["environment"] = map[string]string{
		"AWS_ACCESS_KEY_ID": servertest.AccessKey, "AWS_SECRET_ACCESS_KEY": servertest.SecretKey,
		"AWS_EC2_METADATA_DISABLED": "true", "SPOTRELAY_UPLOAD_LIMIT": fmt.Sprint(uploadLimit),
	}
	block, err := json.Marshal(config)
	if err != nil {
		t.Fatal(err)
	}
	w.fleet = providers.Fleet{Name: "machines", Config: block}
	w.write("machines.json", fmt.Sprintf(`{"version": 1, "provider": "qemu", "config": %s}`, block))
	w.env = append(os.Environ(),
		"HOME="+w.dir, "XDG_CONFIG_HOME=", "XDG_STATE_HOME=", "XDG_DATA_HOME=", "NO_COLOR=1", "SPOTRELAY_AGENT=",
		"SPOTRELAY_BUCKET="+address, "SPOTRELAY_PLUGIN_PATH="+filepath.Join(w.dir, "plugins"))
	t.Cleanup(w.endAll)
	w.spotrelay("plugin", "lock", "qemu")
	return w
}

// machineConfig is a fleet's config but for the agent. Without a kernel and QEMU
// the ground is covered by the tests of the local provider, whose instances are
// namespaces with a metadata service each.
func machineConfig(t *testing.T) map[string]any {
	t.Helper()
	unpacked := os.Getenv(kernelVariable)
	kernels, _ := filepath.Glob(filepath.Join(unpacked, "boot", "vmlinuz-*"))
	if _, err := exec.LookPath("qemu-system-x86_64"); err != nil || unpacked == "" || len(kernels) == 0 {
		t.Skipf("NO REAL MACHINES ARE STARTED HERE: install qemu-system-x86, unpack linux-image-cloud-amd64 with dpkg -x, and set %s to that folder", kernelVariable)
	}
	folder, err := os.MkdirTemp("", "vm") // sockets want short names
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(folder) })
	return map[string]any{
		"folder": folder, "kernel": kernels[0],
		"modules": filepath.Join(unpacked, "lib", "modules", strings.TrimPrefix(filepath.Base(kernels[0]), "vmlinuz-")),
	}
}

func build(t *testing.T, in, to string, packages ...string) {
	t.Helper()
	command := exec.Command("go", append([]string{"build", "-trimpath", "-tags", "disable_grpc_modules", "-ldflags", "-s -w", "-o", to}, packages...)...)
	command.Dir, command.Env = in, append(os.Environ(), "CGO_ENABLED=0")
	if out, err := command.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

func (w *world) command(args ...string) *exec.Cmd {
	command := exec.CommandContext(w.t.Context(), filepath.Join(w.dir, "bin", "spotrelay"), args...)
	command.Dir, command.Env = w.dir, w.env
	return command
}

// spotrelay runs spotrelay, which must succeed.
func (w *world) spotrelay(args ...string) string {
	w.t.Helper()
	command := w.command(args...)
	var stderr bytes.Buffer
	command.Stderr = &stderr
	out, err := command.Output()
	if err != nil {
		w.t.Fatalf("spotrelay %s: %v\n%s\n%s\n%s", strings.Join(args, " "), err, out, stderr.String(), w.consoles())
	}
	return string(out)
}

// attempt is a line of spotrelay attempts --json.
type attempt struct {
	Attempt  int      `json:"attempt"`
	Instance string   `json:"instance"`
	Class    string   `json:"class"`
	Cause    string   `json:"cause"`
	Started  *float64 `json:"started_seconds"`
	Restored *struct {
		Attempt int
		Bytes   int64
	} `json:"restored"`
}

func (w *world) attempts() []attempt {
	w.t.Helper()
	out, err := w.command("attempts", "last", "--json").Output()
	if err != nil {
		return nil // the run is being made
	}
	var list struct{ Attempts []attempt }
	if err := json.Unmarshal(out, &list); err != nil {
		w.t.Fatal(err)
	}
	return list.Attempts
}

// instanceOf waits until the nth attempt runs, and says where.
func (w *world) instanceOf(n int) string {
	w.t.Helper()
	var id string
	w.until(fmt.Sprintf("attempt %d runs", n), func() bool {
		list := w.attempts()
		if len(list) >= n && list[n-1].Started != nil {
			id = list[n-1].Instance
		}
		return id != ""
	})
	return id
}

func (w *world) checkAttempts(first, second string) {
	w.t.Helper()
	list := w.attempts()
	if len(list) != 3 {
		w.t.Fatalf("%d attempts: %+v", len(list), list)
	}
	for i, want := range []attempt{{Class: "preempted", Instance: first}, {Class: "preempted", Instance: second, Cause: "notice"}, {Class: "succeeded"}} {
		got := list[i]
		if got.Class != want.Class || (want.Instance != "" && got.Instance != want.Instance) || (want.Cause != "" && got.Cause != want.Cause) {
			w.t.Errorf("attempt %d is %+v; want %+v", i+1, got, want)
		}
		if resumed := got.Restored != nil && got.Restored.Bytes > state; resumed != (i > 0) {
			w.t.Errorf("attempt %d went on from a checkpoint: %v, %+v", i+1, resumed, got.Restored)
		}
	}
}

// count is how many objects of the bucket have part in their key; of one attempt
// where that is not 0.
func (w *world) count(part string, attempt int) int {
	w.t.Helper()
	count := 0
	for object, err := range w.bucket.List(w.t.Context(), "", "") {
		if err != nil {
			w.t.Fatal(err)
		}
		_, rest, there := strings.Cut(object.Key, part)
		number := 0
		if there && attempt > 0 {
			_, _ = fmt.Sscanf(rest, "%d-", &number) // 0 is no attempt
		}
		if there && number == attempt {
			count++
		}
	}
	return count
}

// until waits for a condition.
func (w *world) until(what string, holds func() bool) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), 10*time.Minute) // bounds a hang alone
	defer cancel()
	ticker := time.NewTicker(100 * time.Millisecond)
	defer ticker.Stop()
	for !holds() {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			w.t.Fatalf("in vain: %s\n%s", what, w.consoles())
		}
	}
}

func (w *world) machines() []providers.Instance {
	w.t.Helper()
	machines, err := (&provider{}).List(context.Background(), w.fleet, nil)
	if err != nil {
		w.t.Error(err)
	}
	return machines
}

// consoles are the last lines that each machine printed.
func (w *world) consoles() string {
	var text strings.Builder
	for _, machine := range w.machines() {
		console, _ := (&provider{}).Console(context.Background(), w.fleet, machine.ID)
		fmt.Fprintf(&text, "-- %s, %s\n%s\n", machine.ID, machine.State, console[max(0, len(console)-3000):])
	}
	return text.String()
}

// endAll ends what a failed test left.
func (w *world) endAll() {
	for _, machine := range w.machines() {
		if err := (&provider{}).Terminate(context.Background(), w.fleet, []string{machine.ID}); err != nil {
			w.t.Error(err)
		}
	}
}

func (w *world) write(name, text string) {
	w.t.Helper()
	if err := os.WriteFile(filepath.Join(w.dir, name), []byte(text), 0o644); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) read(name string) string {
	w.t.Helper()
	data, err := os.ReadFile(filepath.Join(w.dir, name))
	if err != nil {
		w.t.Fatal(err)
	}
	return string(data)
}
