package relaytest

import (
	"context"
	"log/slog"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	"github.com/spotrelay/spotrelay/providers"
	"github.com/spotrelay/spotrelay/providers/aws"
	"github.com/spotrelay/spotrelay/providers/aws/ec2test"
	"github.com/spotrelay/spotrelay/runner/agent/notice"
	"github.com/spotrelay/spotrelay/runner/job"
)

// look is an agent's watcher on the metadata service of an instance of EC2, by
// the probe that the provider gives.
type look struct {
	t      *testing.T
	cloud  *ec2test.Server
	id     string
	events chan notice.Event
}

func newLook(t *testing.T) *look {
	t.Helper()
	c := newCloud(t, ec2test.Options{})
	id := c.launch("look", 1, providers.Spot)[0]
	service := httptest.NewServer(c.server.Metadata(id))
	t.Cleanup(service.Close)
	probe := *c.describe().Notice
	probe.Sources = slices.Clone(probe.Sources)
	for i := range probe.Sources {
		probe.Sources[i].Interval = 10 * time.Millisecond
	}
	l := &look{t, c.server, id, make(chan notice.Event, 100)}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	t.Cleanup(func() { cancel(); <-done })
	go func() {
		defer close(done)
		notice.New(probe, service.URL, slog.New(slog.DiscardHandler)).Run(ctx, func(e notice.Event) {
			select {
			case l.events <- e:
			case <-ctx.Done():
			}
		})
	}()
	return l
}

// next event of a source; those of others are passed over.
func (l *look) next(source string) notice.Event {
	l.t.Helper()
	bound := time.After(patience)
	for {
		select {
		case e := <-l.events:
			if e.Source == source {
				return e
			}
		case <-bound:
			l.t.Fatalf("%s says nothing", source)
		}
	}
}

// silent wants no event until the sources have all been asked once more.
func (l *look) silent() {
	l.t.Helper()
	select {
	case e := <-l.events:
		l.t.Errorf("%s: %+v", e.Source, e.Notice)
	case <-time.After(200 * time.Millisecond):
	}
}

const (
	instanceAction  = "spot/instance-action"
	terminationTime = "spot/termination-time"
	recommendation  = "events/recommendations/rebalance"
	scheduled       = "events/maintenance/scheduled"
)

// TestNoticeSources: each row of the reference's table of the metadata service,
// as the probe reads it.
func TestNoticeSources(t *testing.T) {
	at := time.Date(2099, 9, 18, 8, 22, 0, 0, time.UTC)
	cases := map[string]struct {
		source, body string
		kind         job.NoticeKind
		action       string
		deadline     time.Time
	}{
		"instance-action terminate": {instanceAction, `{"action":"terminate","time":"2099-09-18T08:22:00Z"}`, job.NoticeInterruption, "terminate", at},
		"instance-action stop":      {instanceAction, `{"action":"stop","time":"2099-09-18T08:22:00Z"}`, job.NoticeInterruption, "stop", at},
		"instance-action hibernate": {instanceAction, `{"action":"hibernate","time":"2099-09-18T08:22:00Z"}`, job.NoticeInterruption, "hibernate", at},
		"termination-time":          {terminationTime, "2099-09-18T08:22:00Z", job.NoticeInterruption, "", at},
		"rebalance":                 {recommendation, `{"noticeTime":"2099-09-18T08:22:00Z"}`, job.NoticeRebalance, "", time.Time{}},
	}
	for _, code := range []string{"instance-reboot", "system-reboot", "system-maintenance", "instance-retirement", "instance-stop"} {
		cases["scheduled "+code] = struct {
			source, body string
			kind         job.NoticeKind
			action       string
			deadline     time.Time
		}{
			scheduled, `[{"NotBefore":"18 Sep 2099 08:22:00 GMT","Code":"` + code + `","Description":"d","EventId":"e","NotAfter":"18 Sep 2099 09:22:00 GMT","State":"active"}]`,
			job.NoticeMaintenance, code, at,
		}
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			l := newLook(t)
			l.cloud.Answer(l.id, c.source, 200, c.body)
			n := l.next(c.source).Notice
			if n == nil || n.Kind != c.kind || n.Action != c.action || !n.Deadline.Equal(c.deadline) {
				t.Errorf("%+v", n)
			}
		})
	}
}

// TestNoNotice: what stands for none is none.
func TestNoNotice(t *testing.T) {
	for name, c := range map[string]struct {
		source, body string
		status       int
	}{
		"instance-action 404":             {instanceAction, "", 404},
		"termination-time 404":            {terminationTime, "", 404},
		"termination-time is no time":     {terminationTime, "not scheduled", 200},
		"rebalance 404":                   {recommendation, "", 404},
		"scheduled 404":                   {scheduled, "", 404},
		"scheduled []":                    {scheduled, "[]", 200},
		"scheduled, completed":            {scheduled, `[{"NotBefore":"18 Sep 2099 08:22:00 GMT","Code":"instance-reboot","State":"completed"}]`, 200},
		"target-lifecycle-state":          {"autoscaling/target-lifecycle-state", "InService", 200},
		"target-lifecycle-state 404":      {"autoscaling/target-lifecycle-state", "", 404},
		"throttled":                       {instanceAction, "", 503},
		"the owner terminates: 404 stays": {instanceAction, "", 404},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLook(t)
			l.cloud.Answer(l.id, c.source, c.status, c.body)
			l.silent()
		})
	}
}

// TestNoticeAndRebalanceTogether: both come at once, each by its source.
func TestNoticeAndRebalanceTogether(t *testing.T) {
	l := newLook(t)
	l.cloud.Recommend(l.id)
	l.cloud.Reclaim(l.id, time.Hour)
	seen := map[string]job.NoticeKind{}
	for len(seen) < 3 {
		select {
		case e := <-l.events:
			if e.Notice != nil {
				seen[e.Source] = e.Notice.Kind
			}
		case <-time.After(patience):
			t.Fatalf("only %v", seen)
		}
	}
	if seen[instanceAction] != job.NoticeInterruption || seen[recommendation] != job.NoticeRebalance {
		t.Errorf("%v", seen)
	}
}

// TestNoticeWithdrawn: a notice that is gone again is told.
func TestNoticeWithdrawn(t *testing.T) {
	l := newLook(t)
	l.cloud.Reclaim(l.id, time.Hour)
	if l.next(instanceAction).Notice == nil {
		t.Error("no notice")
	}
	l.cloud.Withdraw(l.id)
	if e := l.next(instanceAction); e.Notice != nil {
		t.Errorf("%+v", e.Notice)
	}
}

// TestTokenRenewed: tokens that the service no longer takes (401) are renewed,
// and what comes then is seen.
func TestTokenRenewed(t *testing.T) {
	l := newLook(t)
	l.cloud.Reclaim(l.id, time.Hour)
	l.next(instanceAction)
	l.cloud.ExpireTokens(l.id)
	l.cloud.Withdraw(l.id)
	if e := l.next(instanceAction); e.Notice != nil {
		t.Errorf("%+v", e.Notice)
	}
}

// TestNoticeAfterErrors: a service that is off for a while (403, 503) hides
// nothing for good.
func TestNoticeAfterErrors(t *testing.T) {
	for _, status := range []int{403, 503} {
		l := newLook(t)
		l.cloud.Answer(l.id, instanceAction, status, "")
		l.cloud.Reclaim(l.id, time.Hour)
		l.next(terminationTime)
		l.cloud.Answer(l.id, instanceAction, 0, "")
		if l.next(instanceAction).Notice == nil {
			t.Errorf("after %d: no notice", status)
		}
	}
}

// TestProbeAsksSeldom: at most once in two seconds, as its peers do, so that
// the service does not throttle; and often enough to see a notice within three.
func TestProbeAsksSeldom(t *testing.T) {
	d, err := aws.New(aws.Options{}).Describe(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, source := range d.Notice.Sources {
		if source.Interval < 2*time.Second {
			t.Errorf("%s every %s", source.Name, source.Interval)
		}
		if source.Name == instanceAction && source.Interval > 3*time.Second {
			t.Errorf("%s every %s", source.Name, source.Interval)
		}
	}
}
