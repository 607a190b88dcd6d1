package aws

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spotrelay/spotrelay/providers"
	"github.com/spotrelay/spotrelay/providers/aws/ec2test"
)

// TestThousandInstances: launched, listed and ended in as few calls as EC2
// allows.
func TestThousandInstances(t *testing.T) {
	const count, each = 1000, 100
	r := newRig(t, ec2test.Options{}, "")
	offers := r.offers(providers.Need{}, providers.Spot, "m5.large", "c5.large")
	var ids []string
	for i := range count / each {
		ids = append(ids, r.launch(r.request(fmt.Sprint("t", i), each, offers))...)
	}
	listed, err := r.provider.List(t.Context(), r.fleet, map[string]string{providers.TagRun: "run-1"})
	if err != nil || len(listed) != count {
		t.Fatalf("%d listed, %v", len(listed), err)
	}
	for _, instance := range listed {
		if !slices.ContainsFunc(offers, func(o providers.Offer) bool {
			return o.Pool() == instance.Offer.Pool() && o.Price == instance.Offer.Price && o.Arch == instance.Offer.Arch
		}) {
			t.Fatalf("listed with an offer that was not asked for: %+v", instance)
		}
	}
	if n := len(r.cloud.Calls("DescribeInstances")); n != 1 {
		t.Errorf("%d calls to list %d instances", n, count)
	}
	if err := r.provider.Terminate(t.Context(), r.fleet, ids); err != nil {
		t.Fatal(err)
	}
	for operation, most := range map[string]int{
		"CreateFleet": count / each, "CreateLaunchTemplate": 1, "TerminateInstances": 1,
		"DescribeInstances": 1 + count/filterMost, "DescribeSpotInstanceRequests": count / filterMost,
	} {
		if n := len(r.cloud.Calls(operation)); n > most {
			t.Errorf("%d calls of %s; want %d at most", n, operation, most)
		}
	}
	if live := r.cloud.Live(); len(live) > 0 {
		t.Errorf("%d instances live on", len(live))
	}
}

// TestListIsWhole: all pages, or an error.
func TestListIsWhole(t *testing.T) {
	r := newRig(t, ec2test.Options{}, "")
	offers := r.offers(providers.Need{}, providers.Spot, "m5.large")
	for i := range 3 { // 1,200: two pages
		r.launch(r.request(fmt.Sprint("t", i), 400, offers))
	}
	tags := map[string]string{providers.TagBucket: "b1"}
	listed, err := r.provider.List(t.Context(), r.fleet, tags)
	if err != nil || len(listed) != 1200 {
		t.Fatalf("%d listed, %v", len(listed), err)
	}
	if n := len(r.cloud.Calls("DescribeInstances")); n != 2 {
		t.Errorf("%d calls for two pages", n)
	}
	listed, err = r.provider.List(t.Context(), r.fleet, map[string]string{providers.TagBucket: "b1", providers.TagIntent: "t1"})
	if err != nil || len(listed) != 400 {
		t.Errorf("%d listed of one launch, %v", len(listed), err)
	}
	if listed, err = r.provider.List(t.Context(), r.fleet, map[string]string{providers.TagBucket: "b*"}); err != nil || len(listed) != 0 {
		t.Errorf("a tag's value is taken for a pattern: %d listed, %v", len(listed), err)
	}
	// A page that fails for good, after one that was served.
	calls := len(r.cloud.Calls("DescribeInstances"))
	stop := r.cloud.Inject(ec2test.Fault{Operation: "DescribeInstances", Code: "RequestLimitExceeded", Status: 503})
	listed, err = r.provider.List(t.Context(), r.fleet, tags)
	wantCode(t, err, providers.CodeThrottled)
	if listed != nil || len(r.cloud.Calls("DescribeInstances"))-calls != tries {
		t.Errorf("%d listed with the error, after %d calls", len(listed), len(r.cloud.Calls("DescribeInstances"))-calls)
	}
	stop()
	r.cloud.Inject(ec2test.Fault{Operation: "DescribeInstances", Code: "InternalError", Status: 500, Times: tries - 1})
	if listed, err = r.provider.List(t.Context(), r.fleet, tags); err != nil || len(listed) != 1200 {
		t.Errorf("%d listed, %v", len(listed), err)
	}
}

// TestTerminate: what EC2 does not know is passed over, what is not ours
// refused with all the rest.
func TestTerminate(t *testing.T) {
	r := newRig(t, ec2test.Options{}, "")
	ids := r.spot("t1", 3)
	foreign := r.request("t2", 1, r.offers(providers.Need{}, providers.Spot, "m5.large"))
	foreign.Tags = map[string]string{providers.TagBucket: "b1"}
	stranger := r.launch(foreign)[0]
	wantCode(t, r.provider.Terminate(t.Context(), r.fleet, []string{ids[0], stranger}), providers.CodeNotOurs)
	if len(r.cloud.Live()) != 4 {
		t.Fatalf("something was ended: %q live", r.cloud.Live())
	}
	if err := r.provider.Terminate(t.Context(), r.fleet, append([]string{"i-0123456789abcdef0", "no-instance"}, ids...)); err != nil {
		t.Fatal(err)
	}
	if live := r.cloud.Live(); !slices.Equal(live, []string{stranger}) {
		t.Errorf("%q live", live)
	}
	for _, e := range r.evidence(ids...) {
		if e.Cause != providers.EndByUs || e.Code != "Client.UserInitiatedShutdown" {
			t.Errorf("we ended it: %+v", e)
		}
	}
	r.provider = r.anew()
	if e := r.evidence(ids[0])[0]; e.Cause != providers.EndByUser {
		t.Errorf("another process cannot know: %+v", e)
	}
}

// TestTerminateDropsTheUnknown: EC2 ends none of a batch with an id that it has
// forgotten between the look and the call; the error names it.
func TestTerminateDropsTheUnknown(t *testing.T) {
	for name, message := range map[string]string{"named": "The instance IDs '%s' do not exist", "not named": "some do not exist"} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, ec2test.Options{}, "")
			ids := r.spot("t1", 4)
			if strings.Contains(message, "%s") {
				message = fmt.Sprintf(message, ids[1])
			}
			r.cloud.Inject(ec2test.Fault{Operation: "TerminateInstances", Code: "InvalidInstanceID.NotFound", Message: message, Times: 1})
			if err := r.provider.Terminate(t.Context(), r.fleet, ids); err != nil {
				t.Fatal(err)
			}
			want := []string{}
			if name == "named" {
				want = []string{ids[1]}
			}
			if live := r.cloud.Live(); !slices.Equal(live, want) && len(live)+len(want) > 0 {
				t.Errorf("%q live; want %q", live, want)
			}
		})
	}
}

// TestEvidenceOutlivesOurCall: what was known of an end is not lost by our own
// call, which overwrites it.
func TestEvidenceOutlivesOurCall(t *testing.T) {
	r := newRig(t, ec2test.Options{}, "")
	ids := r.spot("t1", 3)
	r.visible(ids...)
	r.cloud.Reclaim(ids[0], time.Hour) // noticed, two minutes to go
	r.cloud.SetSpotStatus(ids[2], "marked-for-termination")
	if e := r.evidence(ids[0])[0]; e.Cause != providers.EndNoticed {
		t.Fatalf("%+v", e)
	}
	if err := r.provider.Terminate(t.Context(), r.fleet, ids); err != nil {
		t.Fatal(err)
	}
	for _, id := range ids {
		r.cloud.SetSpotStatus(id, "instance-terminated-by-user") // as our call has it
	}
	evidence := r.evidence(ids...)
	for i, want := range []providers.EndCause{providers.EndReclaimed, providers.EndByUs, providers.EndReclaimed} {
		if evidence[i].Cause != want || evidence[i].State != providers.StateTerminated {
			t.Errorf("%+v; want cause %q", evidence[i], want)
		}
	}
}

// TestWithdrawnNotice: with the request fulfilled again the instance just runs.
func TestWithdrawnNotice(t *testing.T) {
	r := newRig(t, ec2test.Options{}, "")
	id := r.spot("t1", 1)[0]
	r.visible(id)
	r.cloud.Reclaim(id, time.Hour)
	r.cloud.Withdraw(id)
	if e := r.evidence(id)[0]; e.Cause != providers.EndRunning {
		t.Errorf("%+v", e)
	}
}

func TestConsole(t *testing.T) {
	r := newRig(t, ec2test.Options{}, "")
	id := r.spot("t1", 1)[0]
	r.visible(id)
	r.cloud.SetConsole(id, strings.Repeat("x", 100<<10)+"\xff the newest line")
	text, err := r.provider.Console(t.Context(), r.fleet, id)
	if err != nil || len(text) > consoleMost || !strings.HasSuffix(text, "? the newest line") {
		t.Errorf("%d bytes, ending in %q, %v", len(text), text[max(0, len(text)-20):], err)
	}
	r.cloud.Inject(ec2test.Fault{Operation: "GetConsoleOutput", Code: "UnsupportedOperation", Times: 1})
	if text, err = r.provider.Console(t.Context(), r.fleet, id); err != nil || text == "" {
		t.Errorf("of a type that does not know Latest: %q, %v", text, err)
	}
	_, err = r.provider.Console(t.Context(), r.fleet, "i-0123456789abcdef0")
	wantCode(t, err, providers.CodeNotFound)
}
