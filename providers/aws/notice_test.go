package aws

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/spotrelay/spotrelay/providers"
	"github.com/spotrelay/spotrelay/providers/aws/ec2test"
	"github.com/spotrelay/spotrelay/runner/agent/notice"
	"github.com/spotrelay/spotrelay/runner/job"
)

// watched is an instance with the agent's watcher on its metadata service. The
// probe is the provider's, a hundred times as fast.
type watched struct {
	*rig
	id     string
	events chan notice.Event
	refuse atomic.Int32 // so many requests with a token are answered 401
	tokens atomic.Int32 // that were asked for

	mu      sync.Mutex
	answers map[string]string // by path, in place of the instance's own
}

func watch(t *testing.T) *watched {
	t.Helper()
	w := &watched{rig: newRig(t, ec2test.Options{}, ""), events: make(chan notice.Event, 64), answers: map[string]string{}}
	w.id = w.spot("t1", 1)[0]
	w.visible(w.id)
	service := httptest.NewServer(w.handler(w.cloud.Metadata(w.id)))
	t.Cleanup(service.Close)
	probe := *noticeProbe()
	for i := range probe.Sources {
		probe.Sources[i].Interval /= 100
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		notice.New(probe, service.URL, slog.New(slog.DiscardHandler)).Run(ctx, func(e notice.Event) { w.events <- e })
	}()
	t.Cleanup(func() { cancel(); <-done })
	return w
}

func (w *watched) handler(instance http.Handler) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if r.URL.Path == tokenPath {
			w.tokens.Add(1)
		} else if w.refuse.Add(-1) >= 0 {
			rw.WriteHeader(http.StatusUnauthorized)
			return
		}
		w.mu.Lock()
		answer, ok := w.answers[strings.TrimPrefix(r.URL.Path, metaData)]
		w.mu.Unlock()
		if ok {
			_, _ = rw.Write([]byte(answer)) // the watcher may have gone
			return
		}
		instance.ServeHTTP(rw, r)
	})
}

func (w *watched) answer(path, body string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.answers[path] = body
}

// next is the next event of a source; those of others are passed over.
func (w *watched) next(source string) notice.Event {
	w.t.Helper()
	deadline := time.NewTimer(90 * time.Second)
	defer deadline.Stop()
	for {
		select {
		case e := <-w.events:
			if e.Source == source {
				return e
			}
		case <-deadline.C:
			w.t.Fatalf("no event of %s", source)
		}
	}
}

// TestNotice: the notice is read with its action and deadline, over an expired
// token, and its withdrawal too.
func TestNotice(t *testing.T) {
	w := watch(t)
	w.cloud.Reclaim(w.id, time.Hour)
	e := w.next("spot/instance-action")
	if e.Kind != job.NoticeInterruption || e.Notice == nil || e.Notice.Action != "terminate" || e.Notice.Deadline.IsZero() {
		t.Errorf("%+v", e.Notice)
	}
	before := w.tokens.Load()
	w.refuse.Store(5)
	w.cloud.Withdraw(w.id)
	if e = w.next("spot/instance-action"); e.Notice != nil {
		t.Errorf("withdrawn: %+v", e.Notice)
	}
	if w.tokens.Load() == before {
		t.Error("after a 401 no new token was asked for")
	}
}

// TestNoticeActions: each action is an interruption; hibernate comes with no
// time left.
func TestNoticeActions(t *testing.T) {
	for _, action := range []string{"terminate", "stop", "hibernate"} {
		t.Run(action, func(t *testing.T) {
			w := watch(t)
			w.answer("spot/instance-action", `{"action":"`+action+`","time":"2017-09-18T08:22:00Z"}`)
			e := w.next("spot/instance-action")
			if e.Kind != job.NoticeInterruption || e.Notice == nil || e.Notice.Action != action || e.Notice.Lead != 0 {
				t.Errorf("%+v", e.Notice)
			}
		})
	}
}

// TestLegacyNotice: a time is a notice; other text, or a time of old, is none.
func TestLegacyNotice(t *testing.T) {
	w := watch(t)
	w.answer("spot/termination-time", "marked")
	w.answer("events/recommendations/rebalance", `{"noticeTime":"2020-10-26T17:59:00Z"}`)
	w.next("events/recommendations/rebalance") // looked at by then
	deadline := time.Now().Add(2 * time.Minute).UTC().Truncate(time.Second)
	w.answer("spot/termination-time", deadline.Format(time.RFC3339))
	e := w.next("spot/termination-time")
	if e.Kind != job.NoticeInterruption || e.Notice == nil || !e.Notice.Deadline.Equal(deadline) {
		t.Errorf("%+v", e.Notice)
	}
	w.answer("spot/termination-time", time.Now().Add(-time.Hour).UTC().Format(time.RFC3339))
	if e = w.next("spot/termination-time"); e.Notice != nil {
		t.Errorf("a time of old is a notice: %+v", e.Notice)
	}
}

func TestRebalance(t *testing.T) {
	w := watch(t)
	w.cloud.Recommend(w.id)
	if e := w.next("events/recommendations/rebalance"); e.Kind != job.NoticeRebalance || e.Notice == nil {
		t.Errorf("%+v", e)
	}
}

// TestMaintenance: each code that AWS has; no events, or a 404, or an event
// that is done, are none.
func TestMaintenance(t *testing.T) {
	w := watch(t)
	at := time.Now().Add(time.Hour).UTC().Truncate(time.Second)
	for _, code := range []string{"instance-reboot", "system-reboot", "system-maintenance", "instance-retirement", "instance-stop"} {
		w.cloud.Schedule(w.id, ec2test.ScheduledEvent{Code: code, NotBefore: at})
		e := w.next("events/maintenance/scheduled")
		if e.Kind != job.NoticeMaintenance || e.Notice == nil || e.Notice.Action != code || !e.Notice.Deadline.Equal(at) {
			t.Errorf("%s: %+v", code, e.Notice)
		}
		w.answer("events/maintenance/scheduled", map[bool]string{true: `[]`, false: `[{"Code":"system-reboot","NotBefore":"21 Jan 2019 09:00:43 GMT","State":"completed"}]`}[code < "instance-s"])
		if e = w.next("events/maintenance/scheduled"); e.Notice != nil {
			t.Errorf("after %s: %+v", code, e.Notice)
		}
		w.mu.Lock()
		delete(w.answers, "events/maintenance/scheduled")
		w.mu.Unlock()
		w.cloud.Schedule(w.id)
	}
}

// TestProbeIntervals: a notice is read within three seconds of its appearance,
// a request takes one of them; nothing is asked for more often than
// aws-node-termination-handler does.
func TestProbeIntervals(t *testing.T) {
	for _, source := range noticeProbe().Sources {
		if source.Interval < 2*time.Second {
			t.Errorf("%s is asked for every %s", source.Name, source.Interval)
		}
		if source.Name == "spot/instance-action" && source.Interval > 2*time.Second {
			t.Errorf("the notice is asked for every %s", source.Interval)
		}
		if source.Kind == string(job.NoticeInterruption) && len(source.Absent) != 1 {
			t.Errorf("%s: a 404 is no notice, and %v are taken for that", source.Name, source.Absent)
		}
	}
	if leave().Means != providers.LeavePowerOff {
		t.Errorf("%+v", leave())
	}
}
