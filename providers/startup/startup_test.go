package startup_test

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spotrelay/spotrelay/providers"
	"github.com/spotrelay/spotrelay/providers/startup"
)

// TestEC2 boots from an S3 bucket with the role's credentials.
func TestEC2(t *testing.T) {
	for _, shell := range shells(t) {
		t.Run(filepath.Base(shell), func(t *testing.T) {
			c := newCloud(t)
			c.objects["/acme/team%20a/agents/1.2.3%2Bodd%20%28build%29/"+here()+"/spotrelay-agent"] = agentText
			c.faults = []int{503, 500}
			m := newVM(t)
			m.shell = shell
			m.env = []string{"AWS_EC2_METADATA_SERVICE_ENDPOINT=" + c.URL}
			b := bootstrapOf("s3://acme/team%20a?region=eu-west-3&endpoint=" + url.QueryEscape(c.URL))
			b.Environment = map[string]string{"SPOTRELAY_AGENT_CONFIG": `{"a":"it's"}`, "EXIT_CODE": "7"}
			code := m.run(script(t, b, startup.Options{Metadata: startup.MetadataEC2, BootTimeout: time.Hour, MaxLife: time.Hour}))
			m.want(7, code, "answered 503", "SlowDown", "starting the agent on i-0123456789abcdef0", "leaving (exit)")
			for name, want := range map[string]string{
				"SPOTRELAY_INSTANCE": "i-0123456789abcdef0", "SPOTRELAY_HOME": m.home,
				"SPOTRELAY_METADATA": c.URL, "SPOTRELAY_AGENT_CONFIG": `{"a":"it's"}`,
			} {
				if got := m.seen()[name]; got != want {
					t.Errorf("%s is %q, want %q", name, got, want)
				}
			}
		})
	}
}

// TestGCE boots from a GCS bucket with the service account's token.
func TestGCE(t *testing.T) {
	authority := newCloud(t)
	m := newVM(t)
	m.env = []string{"GCE_METADATA_HOST=" + strings.TrimPrefix(authority.URL, "http://")}
	// A token is sent over TLS alone, so the script is made for Google's own
	// address, which the test's client sends to the test's server.
	authority.objects["/storage/v1/b/acme/o/"+strings.ReplaceAll("p/agents/1.2.3%2Bodd%20%28build%29/"+here()+"/spotrelay-agent", "/", "%2F")] = agentText
	m.program("curl", fmt.Sprintf(`sed 's|https://storage.googleapis.com|%s|' | %s "$@"`, authority.URL, realProgram(t, "curl")))
	o := startup.Options{Metadata: startup.MetadataGCE, Instance: "{instance/zone}.{instance/id}"}
	m.want(0, m.run(script(t, bootstrapOf("gs://acme/p"), o)), "starting the agent on europe-west4-a.4520031799277581759")
	if got := m.seen()["SPOTRELAY_METADATA"]; got != authority.URL {
		t.Errorf("SPOTRELAY_METADATA is %q", got)
	}
}

// folderBucketOf is a file bucket with the agent below prefix.
func folderBucketOf(t *testing.T, prefix, agent string) string {
	t.Helper()
	dir := t.TempDir()
	at := filepath.Join(dir, prefix, bootstrapOf("/x").Agents[here()].Key)
	if err := os.MkdirAll(filepath.Dir(at), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(at, []byte(agent), 0o666); err != nil {
		t.Fatal(err)
	}
	return "file://" + dir + "?prefix=" + prefix + "&sync=off"
}

// TestWrongAgent: what has not the checksum is never started, and the instance
// ends.
func TestWrongAgent(t *testing.T) {
	m := newVM(t)
	code := m.run(script(t, bootstrapOf(folderBucketOf(t, "pre", agentText+"# more\n")), startup.Options{Instance: "i"}))
	m.want(1, code, "has not the checksum "+sum(agentText), "boot failed: the agent in the bucket is not the one")
	if m.started() {
		t.Error("the wrong agent was started")
	}
	if !strings.HasSuffix(m.output.String(), "leaving (exit): boot failed: the agent in the bucket is not the one that this run was given; nothing was started\n") {
		t.Errorf("the last line is not clear:\n%s", m.output.String())
	}
}

// TestLeaves looks at how the machine would end, with programs of the test's in
// place of the system's.
func TestLeaves(t *testing.T) {
	c := newCloud(t)
	left := filepath.Join(t.TempDir(), "left")
	for name, way := range map[string]providers.Leave{
		"power-off": {Means: providers.LeavePowerOff},
		"command":   {Means: providers.LeaveCommand, Command: []string{"give-back", "it's", "$me"}},
		"request":   {Means: providers.LeaveRequest, Method: "DELETE", URL: "{metadata}/computeMetadata/v1/instance/id", Headers: map[string]string{"Metadata-Flavor": "Google"}},
		"none":      {Means: providers.LeaveNone},
	} {
		t.Run(name, func(t *testing.T) {
			m := newVM(t)
			m.env = []string{"SPOTRELAY_LEAVE=", "GCE_METADATA_HOST=" + strings.TrimPrefix(c.URL, "http://"), "LEFT=" + left}
			m.program("sleep", "exit 0")
			for _, program := range []string{"systemctl", "poweroff", "shutdown", "give-back"} {
				m.program(program, `echo "$(basename "$0") $*" >>"$LEFT"`)
			}
			os.Remove(left)
			m.want(1, m.run(script(t, bootstrapOf("/no/such/folder"), startup.Options{Metadata: startup.MetadataGCE, Leave: way})),
				"boot failed: the agent could not be fetched from /no/such/folder", "leaving ("+name+")")
			did, _ := os.ReadFile(left)
			want := map[string]string{
				"power-off": "systemctl poweroff\nsystemctl --force --force poweroff\n",
				"command":   "give-back it's $me\n",
			}[name]
			if string(did) != want {
				t.Errorf("it did %q, want %q", did, want)
			}
			if name == "request" && !strings.Contains(strings.Join(c.asked, "\n"), "DELETE /computeMetadata/v1/instance/id") {
				t.Errorf("the request was not made: %q", c.asked)
			}
		})
	}
}

// TestSize: three agents and a real environment fit into EC2's user data, and
// a large one does when it is compressed.
func TestSize(t *testing.T) {
	for _, test := range []struct {
		environment, most, mostPacked int
	}{{2500, 15 << 10, 8 << 10}, {12 << 10, 26 << 10, 8 << 10}} {
		b := bootstrapOf("s3://acme-batch/team?region=us-east-1")
		b.Environment = map[string]string{"SPOTRELAY_AGENT_CONFIG": strings.Repeat(`{"name":"x"},`, test.environment/13)}
		text := script(t, b, startup.Options{Metadata: startup.MetadataEC2, BootTimeout: time.Hour, MaxLife: time.Hour})
		if len(text) > test.most {
			t.Errorf("the script has %d bytes, want at most %d", len(text), test.most)
		}
		data, err := startup.UserData(text)
		if err != nil {
			t.Fatal(err)
		}
		if len(data) > startup.MaxUserData {
			t.Errorf("the user data has %d bytes", len(data))
		}
		if len(text) <= startup.MaxUserData {
			if !bytes.Equal(data, text) {
				t.Error("a short script was changed")
			}
			continue
		}
		r, err := gzip.NewReader(bytes.NewReader(data))
		if err != nil {
			t.Fatal(err)
		}
		if back, err := io.ReadAll(r); err != nil || !bytes.Equal(back, text) {
			t.Errorf("the user data is not the script: %v", err)
		}
	}
}
