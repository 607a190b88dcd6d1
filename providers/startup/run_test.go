package startup_test

import (
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
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
	for name, start := range map[string]func(*testing.T, *servertest.Authority) *servertest.Server{"s3": servertest.StartS3, "gs": servertest.StartGCS} {
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
