//go:build linux

package local

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/spotrelay/spotrelay/providers"
)

func launchRaw(ctx context.Context, p *Provider, fleet, request json.RawMessage) (providers.LaunchResult, error) {
	var f providers.Fleet
	var r providers.LaunchRequest
	if err := errors.Join(json.Unmarshal(fleet, &f), json.Unmarshal(request, &r)); err != nil {
		return providers.LaunchResult{}, err
	}
	return p.Launch(ctx, f, r)
}

// otherProcess is a command that launches the request in a process of its own.
func (r *rig) otherProcess(role string, request providers.LaunchRequest) *exec.Cmd {
	r.t.Helper()
	path := filepath.Join(r.dir, "request.json")
	if err := writeJSON(path, map[string]any{"Fleet": r.fleet, "Request": request}); err != nil {
		r.t.Fatal(err)
	}
	cmd := exec.CommandContext(r.ctx, "/proc/self/exe")
	cmd.Env = append(os.Environ(), "LOCAL_TEST_ROLE="+role, "LOCAL_TEST_STATE="+string(r.state), "LOCAL_TEST_REQUEST="+path)
	cmd.Stderr = os.Stderr
	return cmd
}

func TestAgentRunsInAWorldOfItsOwn(t *testing.T) {
	t.Setenv("SECRET_OF_MY_SHELL", "x")
	r := newRig(t, `{"bandwidth": "1MiB"}`)
	id := r.launch("idle")
	seen := r.report(id)
	if seen.PID != 1 || seen.Hostname != id {
		t.Errorf("the agent has pid %d and host name %q, want 1 and %q", seen.PID, seen.Hostname, id)
	}
	if seen.Metadata != id {
		t.Errorf("the metadata server says instance-id %q", seen.Metadata)
	}
	for _, want := range []string{"SPOTRELAY_INSTANCE=" + id, "SPOTRELAY_UPLOAD_LIMIT=1048576", "TEST_DO=idle", "HOME=" + os.Getenv("HOME")} {
		if !slices.Contains(seen.Environment, want) {
			t.Errorf("the agent's environment lacks %s", want)
		}
	}
	for _, entry := range seen.Environment {
		if strings.HasPrefix(entry, "SECRET_OF_MY_SHELL") {
			t.Error("the shell's environment leaks into the instance")
		}
	}
	// The test's folder is below /tmp, and of it only what the instance needs.
	if top := topBelowTmp(r.dir); top != "" && !slices.Equal(seen.Tmp, []string{top}) {
		t.Errorf("the instance sees %q in /tmp, want %q alone", seen.Tmp, top)
	}
	instance := r.instance(id)
	if instance.State != providers.StateRunning || !strings.Contains(instance.Isolation, "namespaces") {
		t.Errorf("listed as %s, isolation %q", instance.State, instance.Isolation)
	}
}

func topBelowTmp(path string) string {
	rest, ok := strings.CutPrefix(path, "/tmp/")
	top, _, _ := strings.Cut(rest, "/")
	if !ok {
		return ""
	}
	return top
}

// The same for namespaces and for the fallback: whatever the agent started is
// gone with the instance.
func TestNothingSurvives(t *testing.T) {
	for _, isolation := range []string{isolationNamespaces, isolationGroup} {
		for how, end := range map[string]func(*rig, string) error{
			"reclaim":             func(r *rig, id string) error { return r.Preempt(r.ctx, r.fleet, id, 0) },
			"terminate":           func(r *rig, id string) error { return r.Terminate(r.ctx, r.fleet, []string{id}) },
			"supervisor's demise": killSupervisor,
		} {
			t.Run(isolation+"/"+how, func(t *testing.T) {
				r := newRig(t, `{"isolation": "`+isolation+`"}`)
				id := r.launch("family")
				r.await("the family", id, func() bool {
					return !slices.ContainsFunc(family, func(name string) bool { return !r.held(name) })
				})
				if got := r.instance(id).Isolation; (isolation == isolationGroup) != strings.HasPrefix(got, "process group: ") {
					t.Errorf("isolation is described as %q", got)
				}
				if err := end(r, id); err != nil {
					t.Fatal(err)
				}
				evidence := r.awaitEnd(id)
				for _, name := range family {
					if how == "supervisor's demise" {
						r.await("the end of "+name, id, func() bool { return !r.held(name) })
					} else if r.held(name) {
						t.Errorf("%s survives", name)
					}
				}
				want := map[string]providers.EndCause{
					"reclaim": providers.EndReclaimed, "terminate": providers.EndByUs, "supervisor's demise": providers.EndHostEvent,
				}[how]
				if evidence.Cause != want {
					t.Errorf("cause %s, want %s: %+v", evidence.Cause, want, evidence)
				}
				folder := r.state.fleet(r.fleet.Name).instance(id)
				r.await("the loss of the disk", id, func() bool {
					_, err := os.Stat(folder.home())
					return os.IsNotExist(err)
				})
				if text, err := r.Console(r.ctx, r.fleet, id); err != nil || !strings.Contains(text, "the agent is up") {
					t.Errorf("the console is not kept: %q, %v", text, err)
				}
			})
		}
	}
}

func killSupervisor(r *rig, id string) error {
	var s state
	if err := readJSON(r.state.fleet(r.fleet.Name).instance(id).stateFile(), &s); err != nil {
		return err
	}
	if !s.Supervisor.alive() {
		return errors.New("the supervisor is not alive by its identity")
	}
	return syscall.Kill(s.Supervisor.PID, syscall.SIGKILL)
}

func TestInstanceOutlivesItsLauncher(t *testing.T) {
	r := newRig(t, `{}`)
	cmd := r.otherProcess("launch-and-stay", r.request("idle", 1))
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadBytes('\n')
	if err != nil {
		t.Fatal(err)
	}
	var result providers.LaunchResult
	if err := json.Unmarshal(line, &result); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	id := result.Instances[0].ID
	r.report(id)
	r.await("running", id, func() bool { return r.instance(id).State == providers.StateRunning })
	if cause := r.evidence(id).Cause; cause != providers.EndRunning {
		t.Errorf("evidence of a running instance is %s", cause)
	}
}

func TestAgentThatExits(t *testing.T) {
	r := newRig(t, `{}`)
	id := r.launch("exit:xxx")
	evidence := r.awaitEnd(id)
	if evidence.Cause != providers.EndFromInside || !strings.Contains(evidence.Message, "exit status 3") {
		t.Errorf("evidence %+v, want from-inside with the exit status", evidence)
	}
}

func TestBootFailure(t *testing.T) {
	r := newRig(t, `{}`)
	request := r.request("idle", 1)
	wrong := request.Bootstrap.Agents[platform()]
	wrong.SHA256 = strings.Repeat("0", 64)
	request.Bootstrap.Agents = map[string]providers.AgentProgram{platform(): wrong}
	id := r.launchRequest(request)
	evidence := r.awaitEnd(id)
	if evidence.Cause != providers.EndFromInside || evidence.Code != codeBoot {
		t.Errorf("evidence %+v, want a boot failure", evidence)
	}
	text, err := r.Console(r.ctx, r.fleet, id)
	if err != nil || !strings.Contains(text, "checksum differs") {
		t.Errorf("the console does not say why: %q, %v", text, err)
	}
	if _, err := os.Stat(filepath.Join(r.bucket, "reports", id)); err == nil {
		t.Error("a program with a wrong checksum was run")
	}
}

func TestSpoiltCacheIsNotUsed(t *testing.T) {
	r := newRig(t, `{}`)
	cached := filepath.Join(r.state.cache(), r.agents[platform()].SHA256)
	if err := os.MkdirAll(r.state.cache(), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(cached, []byte("#!/bin/sh\nexit 0\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	r.report(r.launch("idle"))
}

func TestIsolatedNetwork(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	for _, network := range []string{networkHost, networkIsolated} {
		r := newRig(t, `{"network": "`+network+`"}`)
		id := r.launch("idle:" + listener.Addr().String())
		seen := r.report(id)
		isolated := network == networkIsolated
		if seen.HostReached == isolated {
			t.Errorf("%s: reaches the host's loopback: %v", network, seen.HostReached)
		}
		if seen.Metadata != id {
			t.Errorf("%s: instance-id %q, want %q", network, seen.Metadata, id)
		}
		if !isolated {
			continue
		}
		if want := "SPOTRELAY_METADATA=http://169.254.169.254"; !slices.Contains(seen.Environment, want) {
			t.Errorf("the environment lacks %s", want)
		}
		if len(seen.Interfaces) != 1 || !strings.Contains(seen.Interfaces[0], "169.254.169.254/32") {
			t.Errorf("interfaces %q, want loopback with the metadata address alone", seen.Interfaces)
		}
	}
}

func TestMemoryLimit(t *testing.T) {
	if len(cgroupPlaces()) == 0 {
		t.Skip("no cgroup is writable here")
	}
	r := newRig(t, `{"offer": [{"instance_type": "tiny", "memory": "64MiB"}]}`)
	id := r.launch("memory")
	evidence := r.awaitEnd(id)
	if evidence.Cause != providers.EndFromInside || !strings.Contains(evidence.Message, "memory limit") {
		t.Errorf("evidence %+v, want one that names the memory limit", evidence)
	}
}

func TestSharedMemoryIsLost(t *testing.T) {
	r := newRig(t, `{}`)
	for range 2 {
		id := r.launch("share-memory")
		if seen := r.report(id).Seen; seen != "" {
			t.Errorf("%s shows what an earlier instance left", seen)
		}
	}
	if _, err := os.Stat("/dev/shm/spotrelay-test"); err == nil {
		t.Error("an instance writes to this machine's /dev/shm")
	}
}

func TestMaxLife(t *testing.T) {
	r := newRig(t, `{}`)
	request := r.request("idle", 1)
	request.MaxLife = 300 * time.Millisecond
	if evidence := r.awaitEnd(r.launchRequest(request)); evidence.Cause != providers.EndMaxLife {
		t.Errorf("cause %s, want %s", evidence.Cause, providers.EndMaxLife)
	}
}

// An instance whose folder somebody removes ends by itself: nothing would find
// it again.
func TestRemovedFolderEndsTheInstance(t *testing.T) {
	r := newRig(t, `{"isolation": "namespaces"}`)
	id := r.launch("family")
	r.await("the family", id, func() bool { return r.held("stubborn") && r.held("orphan") })
	if err := os.RemoveAll(string(r.state)); err != nil {
		t.Log(err) // the instance may write meanwhile
	}
	r.await("the end", "", func() bool { return !r.held("stubborn") && !r.held("orphan") })
}

// A supervisor that no longer answers does not keep its instance from being
// ended.
func TestStuckSupervisor(t *testing.T) {
	r := newRig(t, `{}`)
	r.patience = 200 * time.Millisecond
	id := r.launch("family")
	r.await("the family", id, func() bool { return r.held("stubborn") })
	var s state
	if err := readJSON(r.state.fleet(r.fleet.Name).instance(id).stateFile(), &s); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(s.Supervisor.PID, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	if err := r.Terminate(r.ctx, r.fleet, []string{id}); err != nil {
		t.Fatal(err)
	}
	if evidence := r.evidence(id); evidence.State != providers.StateTerminated || evidence.Cause != providers.EndByUs {
		t.Errorf("evidence %+v", evidence)
	}
	r.await("the end of its processes", id, func() bool { return !r.held("stubborn") })
}

func TestKeepVisible(t *testing.T) {
	keep, cover := keepVisible([]string{"/tmp/a/b", "/home/x", "/tmp/a", "/tmp/ab", "/tmp/a/b/c", "/tmp/none/../d", "/tmpfoo"})
	if want := []string{"/tmp/a", "/tmp/d", "/tmp/ab"}; !slices.Equal(keep, want) || !cover {
		t.Errorf("%q %v, want %q", keep, cover, want)
	}
	if _, cover := keepVisible([]string{"/tmp/a", "/tmp/"}); cover {
		t.Error("/tmp is covered though it is wanted")
	}
}

func TestLongStatePath(t *testing.T) {
	r := newRig(t, `{"event": [{"instance": 1, "checkpoint": 1, "action": "kill"}]}`)
	r.Provider = New(Options{StateDir: filepath.Join(r.dir, strings.Repeat("long/", 20), "state")})
	evidence := r.awaitEnd(r.launch("save:sppc"))
	if evidence.Cause != providers.EndReclaimed {
		t.Errorf("cause %s, want %s", evidence.Cause, providers.EndReclaimed)
	}
}

// As an ordinary user the same holds, with user namespaces.
func TestAsOrdinaryUser(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("the tests run as an ordinary user already")
	}
	if testing.Short() {
		t.Skip("runs tests a second time")
	}
	const nobody = 65534
	home, err := os.MkdirTemp("/tmp", "spotrelay-nobody-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(home)
	if err := os.Chown(home, nobody, nobody); err != nil {
		t.Fatal(err)
	}
	program, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(home, "local.test")
	if err := os.WriteFile(path, program, 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), path, "-test.run", "^(TestAgentRunsInAWorldOfItsOwn|TestNothingSurvives|TestIsolatedNetwork|TestSharedMemoryIsLost|TestPreemptByHand)$", "-test.v")
	cmd.Dir = home
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + home, "TMPDIR=" + home}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if n := strings.Count(string(out), "\n--- PASS: Test"); n != 5 {
		t.Errorf("%d tests passed, want 5:\n%s", n, out)
	}
}

// BenchmarkLaunch measures from the launch call to the agent's first
// instruction of its own.
func BenchmarkLaunch(b *testing.B) {
	r := newRig(b, `{}`)
	var all time.Duration
	for b.Loop() {
		started := time.Now()
		id := r.launch("idle")
		all += r.report(id).Started.Sub(started)
		if err := r.Terminate(r.ctx, r.fleet, []string{id}); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(all.Microseconds())/float64(b.N)/1000, "ms/agent")
}
