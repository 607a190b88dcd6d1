//go:build linux

package terraformtest

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/zclconf/go-cty/cty"
)

// programArchive is a .tar.gz with programs in it.
func programArchive(t testing.TB) []byte {
	t.Helper()
	var out bytes.Buffer
	zipped := gzip.NewWriter(&out)
	packed := tar.NewWriter(zipped)
	for _, name := range []string{"spotrelay", "spotrelay-agent-linux-amd64"} {
		text := "#!/bin/sh\n# " + name + "\n"
		if err := packed.WriteHeader(&tar.Header{Name: name, Mode: 0o755, Size: int64(len(text))}); err != nil {
			t.Fatal(err)
		}
		if _, err := packed.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	if packed.Close() != nil || zipped.Close() != nil {
		t.Fatal("the archive cannot be written")
	}
	return out.Bytes()
}

// machine is where a start script is run: a folder in place of the root, a
// systemctl that notes what it is told, and servers to fetch from.
type machine struct {
	t       *testing.T
	dir     string
	env     []string
	program string // its address
	sum     string
}

func newMachine(t *testing.T) *machine {
	t.Helper()
	m := &machine{t: t, dir: t.TempDir()}
	archive := programArchive(t)
	sum := sha256.Sum256(archive)
	m.sum = hex.EncodeToString(sum[:])
	web := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(archive) }))
	t.Cleanup(web.Close)
	storage := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case strings.HasSuffix(r.URL.Path, "/token") && r.Header.Get("Metadata-Flavor") == "Google":
			_, _ = w.Write([]byte(`{"access_token": "ya29.secret", "expires_in": 3599, "token_type": "Bearer"}`))
		case r.URL.Path == "/acme-batch/relay/spotrelay.tar.gz" && r.Header.Get("Authorization") == "Bearer ya29.secret":
			_, _ = w.Write(archive)
		default:
			w.WriteHeader(http.StatusForbidden)
		}
	}))
	t.Cleanup(storage.Close)
	m.program = web.URL + "/spotrelay.tar.gz"
	authority := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: web.Certificate().Raw})
	m.write("ca.pem", string(authority), 0o600)
	m.write("bin/systemctl", "#!/bin/sh\necho \"$*\" >>'"+filepath.Join(m.dir, "told")+"'\n", 0o700)
	m.write("bin/aws", "#!/bin/sh\nfor last; do :; done\n[ \"$1 $2 $5\" = 's3 cp s3://acme-batch/relay/spotrelay.tar.gz' ] && cp '"+filepath.Join(m.dir, "archive")+"' \"$last\"\n", 0o700)
	m.write("archive", string(archive), 0o600)
	m.env = append(os.Environ(), "PATH="+filepath.Join(m.dir, "bin")+":"+os.Getenv("PATH"), "CURL_CA_BUNDLE="+filepath.Join(m.dir, "ca.pem"), "no_proxy=*",
		"RELAY_ROOT="+filepath.Join(m.dir, "root"), "RELAY_PAUSE=0", "RELAY_METADATA="+storage.URL, "RELAY_STORAGE="+storage.URL)
	return m
}

func (m *machine) write(name, text string, mode os.FileMode) {
	m.t.Helper()
	path := filepath.Join(m.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		m.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		m.t.Fatal(err)
	}
}

func (m *machine) read(name string) string {
	text, _ := os.ReadFile(filepath.Join(m.dir, name)) // what is not there is empty
	return string(text)
}

// start runs the controller's script of a cloud, with a program and its sum.
func (m *machine) start(cloud, program, sum string) error {
	m.t.Helper()
	given := everything(cloud)
	given["controller"] = cty.ObjectVal(map[string]cty.Value{"program": cty.StringVal(program), "sha256": cty.StringVal(sum), "max_runs": cty.NumberIntVal(9)})
	e := evaluate(m.t, parseModule(m.t, cloud), given)
	if failed, err := e.failures(); err != nil || len(failed) > 0 {
		m.t.Fatalf("%v %v", failed, err)
	}
	text, err := e.controllerScript(m.t)
	if err != nil {
		m.t.Fatal(err)
	}
	m.write("start.sh", text, 0o700)
	cmd := exec.Command("sh", filepath.Join(m.dir, "start.sh"))
	cmd.Env = m.env
	out, err := cmd.CombinedOutput()
	m.t.Logf("%s", out)
	return err
}

func (e *evaluation) controllerScript(t testing.TB) (string, error) {
	t.Helper()
	if e.m.cloud == "gcp" {
		for _, template := range e.instances(t, "google_compute_instance_template") {
			return template.GetAttr("metadata").GetAttr("startup-script").AsString(), nil
		}
	}
	template, err := e.resource("aws_launch_template.controller")
	if err != nil {
		return "", err
	}
	text, err := functions(e.m.dir)["base64decode"].Call([]cty.Value{template.Index(cty.NumberIntVal(0)).GetAttr("user_data")})
	if err != nil {
		return "", err
	}
	return text.AsString(), nil
}

// TestControllerStarts: the start script fetches the program, by the web and
// from the bucket, checks it, and starts it under systemd.
func TestControllerStarts(t *testing.T) {
	for name, from := range map[string]struct{ cloud, program string }{
		"aws web": {"aws", ""}, "aws bucket": {"aws", "s3://acme-batch/relay/spotrelay.tar.gz"},
		"gcp web": {"gcp", ""}, "gcp bucket": {"gcp", "gs://acme-batch/relay/spotrelay.tar.gz"},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMachine(t)
			program := from.program
			if program == "" {
				program = m.program
			}
			if err := m.start(from.cloud, program, m.sum); err != nil {
				t.Fatal(err)
			}
			if m.read("root/opt/spotrelay/spotrelay") == "" || m.read("root/opt/spotrelay/spotrelay-agent-linux-amd64") == "" {
				t.Error("the programs are not there")
			}
			unit := m.read("root/etc/systemd/system/spotrelay.service")
			if !strings.Contains(unit, "\nExecStart=/opt/spotrelay/spotrelay serve --max-runs 9\n") || !strings.Contains(unit, "\nEnvironment=SPOTRELAY_BUCKET="+map[string]string{"aws": "s3", "gcp": "gs"}[from.cloud]+"://spotrelay-") {
				t.Errorf("the unit is\n%s", unit)
			}
			if told := m.read("told"); !strings.Contains(told, "daemon-reload\n") || !strings.Contains(told, "enable") || strings.Contains(told, "poweroff") || strings.Contains(told, "reboot") {
				t.Errorf("systemd was told %q", told)
			}
		})
	}
}

// TestControllerRefusesAnotherProgram: what has another checksum is not
// installed, and the machine begins anew.
func TestControllerRefusesAnotherProgram(t *testing.T) {
	for cloud, end := range map[string]string{"aws": "poweroff", "gcp": "reboot"} {
		m := newMachine(t)
		if err := m.start(cloud, m.program, strings.Repeat("0", 64)); err == nil {
			t.Errorf("%s: the script is content", cloud)
		}
		if told := strings.TrimSpace(m.read("told")); told != end || m.read("root/opt/spotrelay/spotrelay") != "" {
			t.Errorf("%s: systemd was told %q", cloud, told)
		}
	}
}
