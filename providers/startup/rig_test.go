package startup_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"              //nolint:depguard // the signature is held against that of AWS's own library
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4" //nolint:depguard // as above

	"github.com/spotrelay/spotrelay/providers"
	"github.com/spotrelay/spotrelay/providers/startup"
)

// agentText is an agent that writes its environment where the test looks and
// ends with the code that EXIT_CODE asks for.
const agentText = `#!/bin/sh
[ "$1" = run ] || exit 9
env >"$SPOTRELAY_HOME/seen"
exit "${EXIT_CODE:-0}"
`

const (
	roleKey    = "ASIAEXAMPLEROLE"
	roleSecret = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
	roleToken  = "IQoJb3JpZ2luX2VjEXAMPLE/token+with=signs=="
	gceToken   = "ya29.example-token"
)

func sum(text string) string {
	digest := sha256.Sum256([]byte(text))
	return hex.EncodeToString(digest[:])
}

// platforms are those of the test's bootstrap.
var platforms = []string{"linux-amd64", "linux-arm64", "darwin-arm64"}

func bootstrapOf(bucket string) providers.Bootstrap {
	b := providers.Bootstrap{Bucket: bucket, Run: "run", Fleet: "fleet", Agents: map[string]providers.AgentProgram{}}
	for _, platform := range platforms {
		b.Agents[platform] = providers.AgentProgram{Key: "agents/1.2.3+odd (build)/" + platform + "/spotrelay-agent", SHA256: sum(agentText)}
	}
	return b
}

func here() string { return runtime.GOOS + "-" + runtime.GOARCH }

// shells are the ones that this machine has of those that are /bin/sh on a
// cloud's images: dash (Ubuntu, Debian), and bash called sh (Amazon Linux).
func shells(t *testing.T) []string {
	t.Helper()
	var found []string
	if dash, err := exec.LookPath("dash"); err == nil {
		found = append(found, dash)
	}
	if bash, err := exec.LookPath("bash"); err == nil {
		sh := filepath.Join(t.TempDir(), "bash", "sh")
		if err := os.MkdirAll(filepath.Dir(sh), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(bash, sh); err != nil {
			t.Fatal(err)
		}
		found = append(found, sh)
	}
	if len(found) == 0 {
		t.Fatal("neither dash nor bash was found")
	}
	return found
}

// vm runs scripts as an instance would: an ordinary user, a folder of its own.
type vm struct {
	t      *testing.T
	shell  string
	home   string
	bin    string // before all else on PATH
	env    []string
	output bytes.Buffer
	pid    chan int // when set, gets the script's
	within []string // a command that runs the shell with the script
}

func newVM(t *testing.T) *vm {
	t.Helper()
	m := &vm{t: t, shell: "/bin/sh", home: filepath.Join(t.TempDir(), "it's home"), bin: t.TempDir()}
	// Pauses between tries pass at once; timers stay what they are.
	m.program("sleep", `case $1 in ?|??) [ "$1" -lt 40 ] && exit 0 ;; esac; exec `+realProgram(t, "sleep")+` "$@"`)
	return m
}

func realProgram(t *testing.T, name string) string {
	t.Helper()
	at, err := exec.LookPath(name)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

// program puts one of its own before the system's.
func (m *vm) program(name, body string) {
	m.t.Helper()
	if err := os.WriteFile(filepath.Join(m.bin, name), []byte("#!/bin/sh\n"+body+"\n"), 0o755); err != nil {
		m.t.Fatal(err)
	}
}

// run runs the script to its end and gives its exit code.
func (m *vm) run(script []byte) int {
	m.t.Helper()
	ctx, cancel := context.WithTimeout(m.t.Context(), 2*time.Minute)
	defer cancel()
	file := filepath.Join(m.t.TempDir(), "script")
	if err := os.WriteFile(file, script, 0o700); err != nil {
		m.t.Fatal(err)
	}
	line := append(slices.Clone(m.within), m.shell, file)
	command := exec.CommandContext(ctx, line[0], line[1:]...)
	command.Env = append([]string{"PATH=" + m.bin + ":" + os.Getenv("PATH"), "SPOTRELAY_HOME=" + m.home, "SPOTRELAY_LEAVE=exit"}, m.env...)
	// A file, since what the script leaves behind holds a pipe open.
	output, err := os.Create(file + ".output")
	if err != nil {
		m.t.Fatal(err)
	}
	defer func() {
		output.Close()
		text, _ := os.ReadFile(output.Name())
		m.output.Write(text)
	}()
	command.Stdout, command.Stderr = output, output
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	command.Cancel = func() error { return syscall.Kill(-command.Process.Pid, syscall.SIGKILL) }
	if err = command.Start(); err == nil {
		defer func() { _ = syscall.Kill(-command.Process.Pid, syscall.SIGKILL) }() // an instance ends with all that runs on it
		if m.pid != nil {
			m.pid <- command.Process.Pid
		}
		err = command.Wait()
	}
	if ctx.Err() != nil {
		text, _ := os.ReadFile(output.Name())
		m.t.Fatalf("the script did not end:\n%s", text)
	}
	if err != nil && command.ProcessState == nil {
		m.t.Fatal(err)
	}
	return command.ProcessState.ExitCode()
}

// seen is the agent's environment.
func (m *vm) seen() map[string]string {
	m.t.Helper()
	text, err := os.ReadFile(filepath.Join(m.home, "seen"))
	if err != nil {
		m.t.Fatalf("the agent did not run: %v\n%s", err, m.output.String())
	}
	found := map[string]string{}
	for _, line := range strings.Split(string(text), "\n") {
		name, value, _ := strings.Cut(line, "=")
		found[name] = value
	}
	return found
}

func (m *vm) started() bool {
	_, err := os.Stat(filepath.Join(m.home, "seen"))
	return err == nil
}

func (m *vm) want(code int, got int, texts ...string) {
	m.t.Helper()
	if got != code {
		m.t.Errorf("the script ended with %d, want %d:\n%s", got, code, m.output.String())
	}
	for _, text := range texts {
		if !strings.Contains(m.output.String(), text) {
			m.t.Errorf("the output does not say %q:\n%s", text, m.output.String())
		}
	}
}

func script(t *testing.T, b providers.Bootstrap, o startup.Options) []byte {
	t.Helper()
	if o.Leave.Means == "" {
		o.Leave.Means = providers.LeavePowerOff
	}
	text, err := startup.Script(b, o)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// cloud plays the metadata services and the stores of both clouds. It accepts a
// request for an object only when it is signed as AWS's own library signs it,
// or bears the service account's token.
type cloud struct {
	*httptest.Server
	t       *testing.T
	mu      sync.Mutex
	objects map[string]string // by the path as it was sent
	faults  []int             // status codes to answer objects with first
	noRole  bool
	asked   []string
}

func newCloud(t *testing.T) *cloud {
	c := &cloud{t: t, objects: map[string]string{}}
	c.Server = httptest.NewServer(c)
	t.Cleanup(c.Close)
	return c
}

func (c *cloud) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	path := r.URL.EscapedPath()
	c.asked = append(c.asked, r.Method+" "+path)
	switch {
	case path == "/latest/api/token":
		if r.Method != http.MethodPut || r.Header.Get("X-aws-ec2-metadata-token-ttl-seconds") == "" {
			http.Error(w, "bad", http.StatusBadRequest)
			return
		}
		io.WriteString(w, "imds-token")
	case strings.HasPrefix(path, "/latest/"):
		if r.Header.Get("X-aws-ec2-metadata-token") != "imds-token" {
			http.Error(w, "no token", http.StatusUnauthorized)
			return
		}
		c.imds(w, r, strings.TrimPrefix(path, "/latest/meta-data/"))
	case strings.HasPrefix(path, "/computeMetadata/v1/"):
		if r.Header.Get("Metadata-Flavor") != "Google" {
			http.Error(w, "no flavor", http.StatusForbidden)
			return
		}
		c.gce(w, r, strings.TrimPrefix(path, "/computeMetadata/v1/"))
	default:
		c.object(w, r, path)
	}
}

func (c *cloud) imds(w http.ResponseWriter, r *http.Request, path string) {
	switch path {
	case "instance-id":
		io.WriteString(w, "i-0123456789abcdef0")
	case "placement/region":
		io.WriteString(w, "eu-north-1")
	case "iam/security-credentials/":
		if c.noRole {
			http.NotFound(w, r)
			return
		}
		io.WriteString(w, "worker-role")
	case "iam/security-credentials/worker-role":
		fmt.Fprintf(w, "{\n  \"Code\" : \"Success\",\n  \"AccessKeyId\" : %q,\n  \"SecretAccessKey\" : %q,\n  \"Token\" : %q,\n  \"Expiration\" : \"2030-01-01T00:00:00Z\"\n}", roleKey, roleSecret, roleToken)
	default:
		http.NotFound(w, r)
	}
}

func (c *cloud) gce(w http.ResponseWriter, r *http.Request, path string) {
	switch path {
	case "instance/id":
		io.WriteString(w, "4520031799277581759")
	case "instance/zone":
		io.WriteString(w, "projects/1234/zones/europe-west4-a")
	case "instance/name":
		io.WriteString(w, "worker-1")
	case "instance/service-accounts/default/token":
		fmt.Fprintf(w, `{"access_token":%q,"expires_in":3599,"token_type":"Bearer"}`, gceToken)
	default:
		http.NotFound(w, r)
	}
}

func (c *cloud) object(w http.ResponseWriter, r *http.Request, path string) {
	if len(c.faults) > 0 {
		code := c.faults[0]
		c.faults = c.faults[1:]
		http.Error(w, "<Error><Code>SlowDown</Code></Error>", code)
		return
	}
	if authorization := r.Header.Get("Authorization"); strings.HasPrefix(authorization, "AWS4") {
		if want := c.signature(r); authorization != want {
			http.Error(w, "<Error><Code>SignatureDoesNotMatch</Code></Error>", http.StatusForbidden)
			c.t.Logf("the signature is\n%s, want\n%s", authorization, want)
			return
		}
	} else if authorization != "Bearer "+gceToken {
		http.Error(w, "<Error><Code>AccessDenied</Code></Error>", http.StatusForbidden)
		return
	}
	text, ok := c.objects[path]
	if !ok {
		http.Error(w, "<Error><Code>NoSuchKey</Code></Error>", http.StatusNotFound)
		return
	}
	io.WriteString(w, text)
}

// signature is what AWS's library would have sent.
func (c *cloud) signature(r *http.Request) string {
	_, scope, _ := strings.Cut(r.Header.Get("Authorization"), roleKey+"/")
	parts := strings.Split(scope, "/") // day, region, ...
	when, err := time.Parse("20060102T150405Z", r.Header.Get("X-Amz-Date"))
	if err != nil || len(parts) < 2 {
		return "a date and a scope"
	}
	again, err := http.NewRequest(r.Method, "http://"+r.Host+r.URL.RequestURI(), nil)
	if err != nil {
		return err.Error()
	}
	again.Header.Set("X-Amz-Content-Sha256", r.Header.Get("X-Amz-Content-Sha256"))
	signer := v4.NewSigner(func(o *v4.SignerOptions) { o.DisableURIPathEscaping = true })
	identity := aws.Credentials{AccessKeyID: roleKey, SecretAccessKey: roleSecret, SessionToken: roleToken}
	if err := signer.SignHTTP(context.Background(), identity, again, "UNSIGNED-PAYLOAD", "s3", parts[1], when); err != nil {
		return err.Error()
	}
	return again.Header.Get("Authorization")
}
