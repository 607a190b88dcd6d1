package gcp

import (
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
)

// service is a metadata service and Compute's API at once, as far as an
// instance needs them to end itself.
type service struct {
	status int // of a DELETE

	mu       sync.Mutex
	deleted  []string
	requests []string
}

func (s *service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	answers := map[string]string{
		"/computeMetadata/v1/project/project-id":                      "acme-batch",
		"/computeMetadata/v1/instance/service-accounts/default/token": `{"access_token":"ya29.x_y-z","expires_in":3599,"token_type":"Bearer"}`,
		"/computeMetadata/v1/instance/attributes/" + endpointItem:     "http://" + r.Host,
	}
	answer, ok := answers[r.URL.Path]
	switch {
	case r.Method == http.MethodDelete && r.Header.Get("Authorization") == "Bearer ya29.x_y-z":
		s.deleted = append(s.deleted, r.URL.Path)
		s.requests = append(s.requests, r.URL.Query().Get("requestId"))
		w.WriteHeader(s.status)
	case r.Method == http.MethodGet && ok && r.Header.Get("Metadata-Flavor") == "Google":
		_, _ = w.Write([]byte(answer))
	default:
		w.WriteHeader(http.StatusNotFound)
	}
}

// end runs the command by which an instance ends itself.
func end(t *testing.T, s *service, number string) error {
	t.Helper()
	if _, err := exec.LookPath("curl"); err != nil {
		t.Fatal("this test runs what an instance runs, and that needs curl: ", err)
	}
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	command := leave().Command
	cmd := exec.CommandContext(t.Context(), command[0], command[1:]...)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "SPOTRELAY_INSTANCE=us-central1-a.spotrelay-x-0-0000." + number, "SPOTRELAY_METADATA=" + server.URL}
	out, err := cmd.CombinedOutput()
	t.Logf("%s", out)
	return err
}

func TestLeave(t *testing.T) {
	for _, number := range []string{"1", "8712345678901234567", "18446744073709551615"} {
		s := &service{status: http.StatusOK}
		if err := end(t, s, number); err != nil {
			t.Fatal(err)
		}
		if len(s.deleted) != 1 || s.deleted[0] != "/compute/v1/projects/acme-batch/zones/us-central1-a/instances/"+number {
			t.Fatalf("deleted: %q", s.deleted)
		}
		id, ok := parseID("us-central1-a.x." + number)
		if !ok || endMark(s.requests[0], id.number) != markLeave || !uuidForm.MatchString(s.requests[0]) {
			t.Errorf("the request id %s does not say that %s ended itself", s.requests[0], number)
		}
	}
}

// An instance that is gone, or may not be deleted, is not asked about again;
// this one has no machine below it that could be powered off.
func TestLeaveRefused(t *testing.T) {
	for status, fails := range map[int]bool{http.StatusNotFound: false, http.StatusForbidden: true} {
		s := &service{status: status}
		if err := end(t, s, "7"); (err != nil) != fails || len(s.deleted) != 1 {
			t.Errorf("%d: %v, asked %d times", status, err, len(s.deleted))
		}
	}
}

func TestProbe(t *testing.T) {
	probe := noticeProbe()
	if probe.Token != nil || len(probe.Sources) != 2 {
		t.Fatalf("%+v", probe)
	}
	for _, source := range probe.Sources {
		if source.Headers["Metadata-Flavor"] != "Google" || !source.Hang || !strings.Contains(source.HangQuery, "last_etag={etag}") || source.Match.Lead <= 0 {
			t.Errorf("%+v", source)
		}
	}
	if lead := probe.Sources[0].Match.Lead; lead != plainLead {
		t.Errorf("the interruption leaves %s", lead)
	}
}
