package startup_test

import (
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/spotrelay/spotrelay/checkpointing/bucket"
	_ "github.com/spotrelay/spotrelay/checkpointing/bucket/gcsbucket" // registers gs://
	_ "github.com/spotrelay/spotrelay/checkpointing/bucket/s3bucket"  // registers s3://
	"github.com/spotrelay/spotrelay/checkpointing/bucket/servertest"
	"github.com/spotrelay/spotrelay/providers"
	"github.com/spotrelay/spotrelay/providers/startup"
)

// TestRealStores fetches the agent from stores that others wrote, which check
// what they are sent.
func TestRealStores(t *testing.T) {
	for name, start := range map[string]func(testing.TB, *servertest.Authority) *servertest.Server{"s3": servertest.StartS3, "gs": servertest.StartGCS} {
		t.Run(name, func(t *testing.T) {
			address := start(t, nil).URL("some prefix/é")
			b, err := bucket.Open(t.Context(), address)
			if err != nil {
				t.Fatal(err)
			}
			defer b.Close()
			boot := bootstrapOf(b.Describe().URL)
			if _, err := b.Put(t.Context(), boot.Agents[here()].Key, strings.NewReader(agentText), bucket.Condition{}); err != nil {
				t.Fatal(err)
			}
			m := newVM(t)
			m.env = []string{"AWS_ACCESS_KEY_ID=" + servertest.AccessKey, "AWS_SECRET_ACCESS_KEY=" + servertest.SecretKey}
			m.want(0, m.run(script(t, boot, startup.Options{Instance: "i-1"})), "starting the agent on i-1")
			m.seen()
		})
	}
}

// ec2VM is an instance with its own cloud and an agent in a bucket there.
func ec2VM(t *testing.T) (*vm, *cloud, providers.Bootstrap) {
	c := newCloud(t)
	b := bootstrapOf("s3://acme?endpoint=" + url.QueryEscape(c.URL))
	c.objects["/acme/agents/1.2.3%2Bodd%20%28build%29/"+here()+"/spotrelay-agent"] = agentText
	m := newVM(t)
	m.env = []string{"AWS_EC2_METADATA_SERVICE_ENDPOINT=" + c.URL + "/"}
	return m, c, b
}

// TestWithoutCurl uses python3; a proxy in the environment is for the bucket
// and not for the metadata service.
func TestWithoutCurl(t *testing.T) {
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("python3 is not installed; TestEC2 covers the rest of the way, with curl")
	}
	m, c, b := ec2VM(t)
	m.env = append(m.env, "http_proxy=http://127.0.0.1:1", "no_proxy=", "HTTP_PROXY=")
	// A folder with all that the script needs, and no curl.
	for _, name := range []string{"sh", "sed", "tr", "od", "head", "cat", "cp", "mv", "rm", "mkdir", "chmod", "date", "uname", "id", "sha256sum", "env"} {
		if err := os.Symlink(realProgram(t, name), filepath.Join(m.bin, name)); err != nil {
			t.Fatal(err)
		}
	}
	program, err := exec.Command(python, "-c", "import sys; print(sys.executable)").Output() // python3 may be a wrapper
	if err != nil {
		t.Fatal(err)
	}
	python = strings.TrimSpace(string(program))
	if err := os.Symlink(python, filepath.Join(m.bin, "python3")); err != nil {
		t.Fatal(err)
	}
	only := []byte(strings.Replace(string(script(t, b, startup.Options{Metadata: startup.MetadataEC2})), "PATH=${PATH:+$PATH:}/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "PATH="+m.bin, 1))
	only = append([]byte("PATH="+m.bin+"\n"), only...)
	m.want(1, m.run(only), "127.0.0.1", "boot failed: the agent could not be fetched") // the proxy is not there
	if strings.Contains(strings.Join(c.asked, "\n"), "GET /acme/") {
		t.Error("the proxy was passed by for the bucket")
	}
	m.env = m.env[:1]
	m.want(0, m.run(only), "starting the agent on i-0123456789abcdef0")
	m.seen()
}

// TestSecretsStayHidden: no credential is ever an argument of a program.
func TestSecretsStayHidden(t *testing.T) {
	m, _, b := ec2VM(t)
	calls := filepath.Join(t.TempDir(), "calls")
	for _, name := range []string{"curl", "sed", "tr", "od", "sha256sum", "head", "cat"} {
		m.program(name, fmt.Sprintf(`echo "$0 $*" >>%s; exec %s "$@"`, calls, realProgram(t, name)))
	}
	m.want(0, m.run(script(t, b, startup.Options{Metadata: startup.MetadataEC2})))
	text, err := os.ReadFile(calls)
	if err != nil || !strings.Contains(string(text), "curl") {
		t.Fatalf("the calls were not seen: %v", err)
	}
	for _, secret := range []string{roleSecret, roleToken, "imds-token", "Signature="} {
		if strings.Contains(string(text), secret) {
			t.Errorf("%s stands on a command line:\n%s", secret, text)
		}
		if strings.Contains(m.output.String(), secret) {
			t.Errorf("%s is in the output", secret)
		}
	}
}

// TestWhatFails says so in a line that a user can act on.
func TestWhatFails(t *testing.T) {
	for text, change := range map[string]func(*vm, *cloud, *providers.Bootstrap){
		"has no role (instance profile)": func(_ *vm, c *cloud, _ *providers.Bootstrap) { c.noRole = true },
		"answered 404":                   func(_ *vm, c *cloud, _ *providers.Bootstrap) { clear(c.objects) },
		"does not tell who this instance": func(m *vm, _ *cloud, _ *providers.Bootstrap) {
			m.env[0] = "AWS_EC2_METADATA_SERVICE_ENDPOINT=http://127.0.0.1:1"
		},
		"no agent for linux-": func(m *vm, _ *cloud, b *providers.Bootstrap) {
			m.program("uname", `[ "$1" = -m ] && echo riscv64 || echo Linux`)
		},
		"cannot be made": func(m *vm, _ *cloud, _ *providers.Bootstrap) { os.WriteFile(m.home, nil, 0o600) },
	} {
		m, c, b := ec2VM(t)
		change(m, c, &b)
		m.want(1, m.run(script(t, b, startup.Options{Metadata: startup.MetadataEC2})), text, "boot failed: ", "leaving (exit): boot failed: ")
		if m.started() {
			t.Error("the agent was started")
		}
	}
}

// TestBootTimeout ends an instance whose boot hangs.
func TestBootTimeout(t *testing.T) {
	m, _, b := ec2VM(t)
	m.program("curl", "exec "+realProgram(t, "sleep")+" 3600")
	m.program("sleep", "exec "+realProgram(t, "sleep")+` "$@"`)
	m.run(script(t, b, startup.Options{Metadata: startup.MetadataEC2, BootTimeout: 1500 * time.Millisecond}))
	m.want(0, 0, "boot failed: the agent did not start within 2 s", "leaving (exit)")
	if m.started() {
		t.Error("the agent was started")
	}
}

// waiting is an agent that ends by a signal and says so.
const waiting = `#!/bin/sh
trap 'echo "stopped well" >&2; kill $s; exit 4' TERM
sleep 3600 &
s=$!
echo >"$SPOTRELAY_HOME/seen"
wait
wait
`

// TestMaxLife ends an instance whose agent goes on, after the agent had time to
// save.
func TestMaxLife(t *testing.T) {
	m := newVM(t)
	m.program("sleep", "exec "+realProgram(t, "sleep")+` "$@"`)
	b := bootstrapOf(folderBucketOf(t, "pre", waiting))
	setAgent(&b, waiting)
	m.want(4, m.run(script(t, b, startup.Options{Instance: "i", MaxLife: time.Second, BootTimeout: time.Hour})),
		"its longest life of 1 s is over", "stopped well", "the agent ended with exit code 4", "leaving (exit)")
}

// TestStop hands the system's signal on to the agent.
func TestStop(t *testing.T) {
	m := newVM(t)
	b := bootstrapOf(folderBucketOf(t, "pre", waiting))
	setAgent(&b, waiting)
	text := script(t, b, startup.Options{Instance: "i", MaxLife: time.Hour})
	m.pid = make(chan int, 1)
	go func() {
		pid := <-m.pid
		for !m.started() {
			if syscall.Kill(pid, 0) != nil {
				return // it ended, which the test sees
			}
		}
		syscall.Kill(pid, syscall.SIGTERM)
	}()
	m.want(4, m.run(text), "stopped well")
}

// withSystemd makes the machine look like one that systemd booted: in a mount
// namespace of its own, with root's number, and programs of the test's in place
// of systemd's. What is started as a unit has an empty environment.
func (m *vm) withSystemd() (calls string) {
	m.t.Helper()
	m.within = []string{"unshare", "-rm", "/bin/sh", "-c", `mount -t tmpfs none /run && mkdir -p /run/systemd/system && exec "$0" "$@"`}
	probe := append(slices.Clone(m.within), "/bin/true")
	if out, err := exec.Command(probe[0], probe[1:]...).CombinedOutput(); err != nil {
		m.t.Skipf("NOT TESTED: the way by systemd-run, since this machine lets nobody make a mount namespace (%v: %s); the rest of the script is, by TestEC2", err, out)
	}
	calls = filepath.Join(m.t.TempDir(), "calls")
	m.program("systemd-run", fmt.Sprintf(`echo "$*" >>%[1]s
case "$*" in
*spotrelay-agent*) exec env -i /bin/sh %[2]q/boot/start >>%[1]s 2>&1 ;;
esac`, calls, m.home))
	for _, name := range []string{"systemctl", "poweroff", "shutdown"} {
		m.program(name, fmt.Sprintf(`echo "%s $*" >>%s`, name, calls))
	}
	m.env = append(m.env, "SPOTRELAY_LEAVE=", "EXIT_CODE=")
	return calls
}

// TestSystemd starts three units: the agent, what ends the machine when the
// agent is dead, and the timer of its longest life; then the boot goes on.
func TestSystemd(t *testing.T) {
	m, _, b := ec2VM(t)
	calls := m.withSystemd()
	b.Environment = map[string]string{"SPOTRELAY_AGENT_CONFIG": "it's"}
	m.want(0, m.run(script(t, b, startup.Options{Metadata: startup.MetadataEC2, MaxLife: 90 * time.Minute})), "starting the agent on i-0123456789abcdef0")
	did, err := os.ReadFile(calls)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"--unit=spotrelay-max-life --on-active=5400s /bin/sh " + m.home + "/boot/leave its longest life of 5400 s is over",
		"--unit=spotrelay-agent ", "-p Restart=no -p OOMScoreAdjust=-900 ", "/bin/sh " + m.home + "/boot/start",
		"--unit=spotrelay-watch ", "/bin/sh " + m.home + "/boot/watch " + m.home + "/boot/leave",
	} {
		if !strings.Contains(string(did), want) {
			t.Errorf("systemd-run was not called with %q:\n%s", want, did)
		}
	}
	if strings.Contains(string(did), "poweroff") {
		t.Errorf("the machine was powered off:\n%s", did)
	}
	if seen := m.seen(); seen["SPOTRELAY_AGENT_CONFIG"] != "it's" || seen["SPOTRELAY_INSTANCE"] != "i-0123456789abcdef0" || seen["SPOTRELAY_HOME"] != m.home {
		t.Errorf("the agent saw %v", seen)
	}
	// The units' own scripts: the agent's is dead, so the machine is ended.
	m.program("sleep", "exit 0")
	watch := exec.Command("/bin/sh", filepath.Join(m.home, "boot", "watch"), filepath.Join(m.home, "boot", "leave"))
	watch.Env = []string{"PATH=" + m.bin + ":" + os.Getenv("PATH")}
	if out, err := watch.CombinedOutput(); err != nil || !strings.Contains(string(out), "leaving (power-off): the agent has ended") {
		t.Errorf("the watch gave %v:\n%s", err, out)
	}
	if did, _ = os.ReadFile(calls); !strings.Contains(string(did), "systemctl poweroff") {
		t.Errorf("the machine was not powered off:\n%s", did)
	}
}

// TestSystemdRefuses: a unit that cannot be started is a boot that failed.
func TestSystemdRefuses(t *testing.T) {
	m, _, b := ec2VM(t)
	calls := m.withSystemd()
	m.program("systemd-run", "exit 1")
	m.program("sleep", "exit 0")
	m.want(1, m.run(script(t, b, startup.Options{Metadata: startup.MetadataEC2})), "boot failed: systemd could not start the agent", "leaving (power-off)")
	if did, _ := os.ReadFile(calls); !strings.Contains(string(did), "systemctl poweroff") {
		t.Errorf("the machine was not powered off:\n%s", did)
	}
}
