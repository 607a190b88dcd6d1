package notice

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/spotrelay/spotrelay/providers"
	"github.com/spotrelay/spotrelay/runner/job"
)

// service is a metadata service whose answers the test sets.
type service struct {
	*httptest.Server
	mu      sync.Mutex
	answers map[string]func(http.ResponseWriter, *http.Request)
	token   string
	tokens  int
	asked   map[string]int
	changed chan struct{} // closed when a value of GCP changes
	value   string
	etag    int
}

func newService(t *testing.T) *service {
	s := &service{answers: map[string]func(http.ResponseWriter, *http.Request){}, asked: map[string]int{}, token: "t0", changed: make(chan struct{}), value: "FALSE"}
	s.Server = httptest.NewServer(s)
	t.Cleanup(func() {
		s.CloseClientConnections()
		s.Close()
	})
	return s
}

func (s *service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.asked[r.URL.Path]++
	answer := s.answers[r.URL.Path]
	s.mu.Unlock()
	if answer == nil {
		http.NotFound(w, r)
		return
	}
	answer(w, r)
}

func (s *service) set(path string, answer func(http.ResponseWriter, *http.Request)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answers[path] = answer
}

func (s *service) says(path, body string) {
	s.set(path, func(w http.ResponseWriter, r *http.Request) { s.ec2(w, r, body) })
}

func (s *service) count(path string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked[path]
}

// ec2 answers as IMDSv2 does: 401 without the newest token.
func (s *service) ec2(w http.ResponseWriter, r *http.Request, body string) {
	s.mu.Lock()
	token := s.token
	s.mu.Unlock()
	if r.Header.Get("X-aws-ec2-metadata-token") != token {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	if body == "" {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	fmt.Fprint(w, body)
}

func (s *service) giveTokens() {
	s.set("/latest/api/token", func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		defer s.mu.Unlock()
		if r.Method != http.MethodPut || r.Header.Get("X-aws-ec2-metadata-token-ttl-seconds") == "" {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		s.tokens++
		fmt.Fprint(w, s.token)
	})
}

const actionPath = "/latest/meta-data/spot/instance-action"

func ec2Probe() providers.NoticeProbe {
	return providers.NoticeProbe{
		Metadata: "http://192.0.2.1", // never asked: the override is
		Token: &providers.TokenRequest{
			Method: http.MethodPut, URL: "{metadata}/latest/api/token", Life: time.Hour,
			Headers: map[string]string{"X-aws-ec2-metadata-token-ttl-seconds": "3600"}, Header: "X-aws-ec2-metadata-token",
		},
		Sources: []providers.NoticeSource{{
			Name: "spot/instance-action", Kind: "interruption", URL: "{metadata}" + actionPath,
			Interval: 20 * time.Millisecond, Absent: []int{404}, Match: ec2Action,
		}},
	}
}

// watch runs a watcher and is its events.
func watch(t *testing.T, probe providers.NoticeProbe, metadata string) <-chan Event {
	events := make(chan Event, 100)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		New(probe, metadata, slog.New(slog.DiscardHandler)).Run(ctx, func(e Event) { events <- e })
	}()
	t.Cleanup(func() { cancel(); <-done })
	return events
}

func next(t *testing.T, events <-chan Event) Event {
	t.Helper()
	select {
	case e := <-events:
		return e
	case <-time.After(15 * time.Second):
		t.Fatal("no event came")
		return Event{}
	}
}

func reached(t *testing.T, what string, condition func() bool) {
	t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(15 * time.Second); !condition(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatal(what, "did not come")
		}
	}
}

func TestEC2(t *testing.T) {
	s := newService(t)
	s.giveTokens()
	s.says(actionPath, "")
	events := watch(t, ec2Probe(), s.URL)
	reached(t, "a second look", func() bool { return s.count(actionPath) > 2 })

	body := `{"action":"terminate","time":"` + time.Now().Add(2*time.Minute).UTC().Format(time.RFC3339) + `"}`
	s.says(actionPath, body)
	e := next(t, events)
	if e.Notice == nil || e.Notice.Action != "terminate" || e.Notice.Kind != job.NoticeInterruption || e.Notice.Source != "spot/instance-action" || e.Notice.Lead.D() < 100*time.Second {
		t.Fatalf("event %+v, notice %+v", e, e.Notice)
	}
	// The same answer again is no event; a token that has expired is renewed.
	s.mu.Lock()
	s.token = "t1"
	before := s.asked[actionPath]
	s.mu.Unlock()
	reached(t, "further looks", func() bool { return s.count(actionPath) > before+4 })
	s.says(actionPath, "")
	if e := next(t, events); e.Notice != nil || e.Source != "spot/instance-action" {
		t.Fatalf("a withdrawn notice: %+v", e)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.tokens != 2 {
		t.Errorf("%d tokens were asked for, want 2", s.tokens)
	}
}

// Each of these answers must neither be a notice nor end one that stands.
func TestBadAnswers(t *testing.T) {
	for name, answer := range map[string]func(s *service, w http.ResponseWriter, r *http.Request){
		"503":     func(_ *service, w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) },
		"403":     func(_ *service, w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) },
		"no JSON": func(_ *service, w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html>sign in</html>") },
		"too long": func(_ *service, w http.ResponseWriter, _ *http.Request) {
			fmt.Fprint(w, `{"action":"`+strings.Repeat("x", maxBody)+`"}`)
		},
		"a redirect": func(s *service, w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, s.URL+"/elsewhere", http.StatusFound)
		},
		"broken off": func(_ *service, w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			fmt.Fprint(w, `{"action":"stop"}`)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newService(t)
			s.giveTokens()
			s.says("/elsewhere", `{"action":"terminate"}`)
			s.says(actionPath, `{"action":"stop"}`)
			events := watch(t, ec2Probe(), s.URL+"/")
			if e := next(t, events); e.Notice == nil {
				t.Fatal("no notice")
			}
			s.set(actionPath, func(w http.ResponseWriter, r *http.Request) { answer(s, w, r) })
			before := s.count(actionPath)
			reached(t, "looks at bad answers", func() bool { return s.count(actionPath) > before+2 })
			s.says(actionPath, `{"action":"hibernate"}`)
			e := next(t, events)
			if e.Notice == nil || e.Notice.Action != "hibernate" {
				t.Fatalf("event %+v", e)
			}
			if s.count("/elsewhere") > 0 {
				t.Error("the redirect was followed")
			}
		})
	}
}

func TestNoToken(t *testing.T) {
	s := newService(t)
	s.says(actionPath, `{"action":"stop"}`)
	s.set("/latest/api/token", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) })
	events := watch(t, ec2Probe(), s.URL)
	reached(t, "a request for a token", func() bool { return s.count("/latest/api/token") > 1 })
	s.giveTokens()
	if e := next(t, events); e.Notice == nil {
		t.Fatal("no notice after the token service had come back")
	}
}

const preemptedPath = "/computeMetadata/v1/instance/preempted"

// gcp answers as GCE does: at once, or with wait_for_change when the value has
// another etag than the last one.
func (s *service) gcp(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Metadata-Flavor") != "Google" {
		w.WriteHeader(http.StatusForbidden)
		return
	}
	for {
		s.mu.Lock()
		etag, value, changed := fmt.Sprint("e", s.etag), s.value, s.changed
		s.mu.Unlock()
		if r.URL.Query().Get("wait_for_change") != "true" || r.URL.Query().Get("last_etag") != etag {
			w.Header().Set("ETag", etag)
			fmt.Fprint(w, value)
			return
		}
		select {
		case <-changed:
		case <-r.Context().Done():
			return
		}
	}
}

func (s *service) setValue(value string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.value = value
	s.etag++
	close(s.changed)
	s.changed = make(chan struct{})
}

func TestGCP(t *testing.T) {
	s := newService(t)
	s.set(preemptedPath, s.gcp)
	events := watch(t, providers.NoticeProbe{
		Metadata: s.URL,
		Sources: []providers.NoticeSource{{
			Name: "preempted", Kind: "interruption", URL: "{metadata}" + preemptedPath, Headers: map[string]string{"Metadata-Flavor": "Google"},
			Interval: time.Minute, Hang: true, HangQuery: "?wait_for_change=true&last_etag={etag}", Match: gcpPreempted,
		}},
	}, "")
	reached(t, "the hanging request", func() bool { return s.count(preemptedPath) == 2 })
	begun := time.Now()
	s.setValue("TRUE")
	e := next(t, events)
	if e.Notice == nil || e.Notice.Lead.D() != 30*time.Second {
		t.Fatalf("event %+v", e)
	}
	if took := time.Since(begun); took > time.Second {
		t.Errorf("the notice took %s", took)
	}
	reached(t, "the next hanging request", func() bool { return s.count(preemptedPath) == 3 })
}

func TestBackoff(t *testing.T) {
	for failures := 1; failures < 70; failures++ {
		pause := backoff(2*time.Second, failures)
		if pause < time.Second || pause > longestPause {
			t.Fatalf("after %d failures: %s", failures, pause)
		}
	}
	if pause := backoff(time.Hour, 3); pause < 30*time.Minute {
		t.Fatalf("an interval of an hour became %s", pause)
	}
}
