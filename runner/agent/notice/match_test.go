package notice

import (
	"strings"
	"testing"
	"time"

	"github.com/spotrelay/spotrelay/providers"
	"github.com/spotrelay/spotrelay/runner/job"
)

// The sources as the vendors document them.
var (
	ec2Action = providers.NoticeMatch{Action: "action", Deadline: "time"}
	ec2Time   = providers.NoticeMatch{TimeText: true}
	ec2Events = providers.NoticeMatch{
		Array: true, When: "Code", In: []string{"instance-reboot", "system-reboot", "system-maintenance", "instance-retirement", "instance-stop"},
		Action: "Code", Deadline: "NotBefore", DeadlineLayout: "2 Jan 2006 15:04:05 GMT",
	}
	ec2Rebalance = providers.NoticeMatch{}
	gcpPreempted = providers.NoticeMatch{Text: []string{"TRUE"}, Lead: 30 * time.Second}
	gcpEvent     = providers.NoticeMatch{Text: []string{"TERMINATE_ON_HOST_MAINTENANCE"}, Lead: time.Minute}
	azureEvents  = providers.NoticeMatch{
		ArrayPath: "Events", When: "EventType", In: []string{"Preempt", "Terminate"},
		Action: "EventType", Deadline: "NotBefore", DeadlineLayout: "Mon, 02 Jan 2006 15:04:05 GMT", Lead: 30 * time.Second,
	}
	nested = providers.NoticeMatch{ArrayPath: "a.b", When: "c.kind", In: []string{"x"}, Action: "c.what"}
)

const azureBody = `{"DocumentIncarnation":2,"Events":[
 {"EventId":"f020ba2e","EventStatus":"Scheduled","EventType":"Freeze","ResourceType":"VirtualMachine","Resources":["vm1"],"NotBefore":"Mon, 19 Sep 2016 18:29:47 GMT"},
 {"EventId":"a1b2","EventStatus":"Scheduled","EventType":"Preempt","ResourceType":"VirtualMachine","Resources":["vm1"],"NotBefore":"Mon, 19 Sep 2016 18:30:17 GMT","EventSource":"Platform"}]}`

const ec2EventsBody = `[{"NotBefore":"21 Jan 2019 09:00:43 GMT","Code":"system-reboot","Description":"scheduled reboot","EventId":"instance-event-0d59937288b749b32","NotAfter":"21 Jan 2019 09:17:23 GMT","State":"active"}]`

func TestRead(t *testing.T) {
	at := func(text string) time.Time {
		parsed, err := time.Parse(time.RFC3339, text)
		if err != nil {
			t.Fatal(err)
		}
		return parsed
	}
	none := time.Time{}
	for _, test := range []struct {
		name     string
		match    providers.NoticeMatch
		now      string
		body     string
		notice   bool
		action   string
		deadline time.Time
		lead     time.Duration
		fails    bool
	}{
		{"EC2 terminate", ec2Action, "2017-09-18T08:20:00Z", `{"action":"terminate","time":"2017-09-18T08:22:00Z"}`, true, "terminate", at("2017-09-18T08:22:00Z"), 2 * time.Minute, false},
		{"EC2 hibernate, past its time", ec2Action, "2017-09-18T08:23:00Z", `{"action":"hibernate","time":"2017-09-18T08:22:00Z"}`, true, "hibernate", at("2017-09-18T08:22:00Z"), 0, false},
		{"EC2 without a time", ec2Action, "2017-09-18T08:20:00Z", `{"action":"stop"}`, true, "stop", none, 0, false},
		{"EC2 with a bad time", ec2Action, "2017-09-18T08:20:00Z", `{"action":"stop","time":"soon"}`, true, "stop", none, 0, false},
		{"EC2 with a page in place of JSON", ec2Action, "2017-09-18T08:20:00Z", `<html>`, false, "", none, 0, true},
		{"EC2 with an array", ec2Action, "2017-09-18T08:20:00Z", `[]`, false, "", none, 0, true},
		{"EC2 null", ec2Action, "2017-09-18T08:20:00Z", `null`, false, "", none, 0, false},
		{"EC2 termination-time", ec2Time, "2015-01-05T18:00:00Z", "2015-01-05T18:02:00Z\n", true, "", at("2015-01-05T18:02:00Z"), 2 * time.Minute, false},
		{"EC2 termination-time of old", ec2Time, "2015-01-05T19:00:00Z", "2015-01-05T18:02:00Z", false, "", none, 0, false},
		{"EC2 termination-time that is none", ec2Time, "2015-01-05T19:00:00Z", "marked", false, "", none, 0, false},
		{"EC2 rebalance", ec2Rebalance, "2020-10-26T18:00:00Z", `{"noticeTime":"2020-10-26T17:59:00Z"}`, true, "", none, 0, false},
		{"EC2 scheduled", ec2Events, "2019-01-21T08:00:43Z", ec2EventsBody, true, "system-reboot", at("2019-01-21T09:00:43Z"), time.Hour, false},
		{"EC2 nothing scheduled", ec2Events, "2019-01-21T08:00:43Z", `[]`, false, "", none, 0, false},
		{"EC2 other code", ec2Events, "2019-01-21T08:00:43Z", strings.ReplaceAll(ec2EventsBody, "system-reboot", "network-upgrade"), false, "", none, 0, false},
		{"GCP not preempted", gcpPreempted, "2024-01-01T00:00:00Z", "FALSE", false, "", none, 0, false},
		{"GCP preempted", gcpPreempted, "2024-01-01T00:00:00Z", "TRUE", true, "true", at("2024-01-01T00:00:30Z"), 30 * time.Second, false},
		{"GCP maintenance", gcpEvent, "2024-01-01T00:00:00Z", "TERMINATE_ON_HOST_MAINTENANCE\n", true, "terminate_on_host_maintenance", at("2024-01-01T00:01:00Z"), time.Minute, false},
		{"GCP migration is no end", gcpEvent, "2024-01-01T00:00:00Z", "MIGRATE_ON_HOST_MAINTENANCE", false, "", none, 0, false},
		{"Azure preempt, after a freeze", azureEvents, "2016-09-19T18:29:47Z", azureBody, true, "Preempt", at("2016-09-19T18:30:17Z"), 30 * time.Second, false},
		{"Azure started, no time", azureEvents, "2016-09-19T18:29:47Z", `{"Events":[{"EventType":"Preempt","EventStatus":"Started","NotBefore":""}]}`, true, "Preempt", at("2016-09-19T18:30:17Z"), 30 * time.Second, false},
		{"Azure none", azureEvents, "2016-09-19T18:29:47Z", `{"DocumentIncarnation":1,"Events":[]}`, false, "", none, 0, false},
		{"Azure without the list", azureEvents, "2016-09-19T18:29:47Z", `{}`, false, "", none, 0, false},
		{"Azure with another form", azureEvents, "2016-09-19T18:29:47Z", `{"Events":{"a":1}}`, false, "", none, 0, true},
		{"nested paths", nested, "2016-09-19T18:29:47Z", `{"a":{"b":[null,{"c":{"kind":"y"}},{"c":{"kind":"x","what":"go"}}]}}`, true, "go", none, 0, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			n, err := Read([]byte(test.body), test.match, at(test.now))
			if (err != nil) != test.fails || (n != nil) != test.notice {
				t.Fatalf("notice %+v, error %v", n, err)
			}
			if n == nil {
				return
			}
			if n.Action != test.action || !n.Deadline.Equal(test.deadline) || n.Lead.D() != test.lead || n.Text == "" {
				t.Errorf("notice %+v, want %s at %s in %s", n, test.action, test.deadline, test.lead)
			}
		})
	}
}

func FuzzRead(f *testing.F) {
	for _, body := range []string{azureBody, ec2EventsBody, `{"action":"terminate","time":"2017-09-18T08:22:00Z"}`, "TRUE", "null", `{"a":{"b":[1,{"c":{"kind":"x"}}]}}`, "2015-01-05T18:02:00Z"} {
		f.Add([]byte(body))
	}
	matches := []providers.NoticeMatch{ec2Action, ec2Time, ec2Events, ec2Rebalance, gcpPreempted, azureEvents, nested, {Array: true, ArrayPath: "0.x", When: "y"}}
	f.Fuzz(func(t *testing.T, body []byte) {
		now := time.Unix(1700000000, 0)
		for _, match := range matches {
			n, err := Read(body, match, now)
			if n == nil {
				continue
			}
			if err != nil {
				t.Fatal("both a notice and an error")
			}
			if n.Lead < 0 || len(n.Text) > maxText+3 || len(n.Action) > maxText+3 {
				t.Fatalf("%+v", n)
			}
			if _, err := (job.Status{Notice: n}).Notice.Deadline.MarshalJSON(); err != nil {
				t.Fatalf("the notice cannot be written to a document: %v", err)
			}
		}
	})
}
