package ec2test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
)

// An instance is unknown, then pending, running, shutting down, terminated and
// gone.
func TestLifeOfAnInstance(t *testing.T) {
	r := newRig(t, Options{ListLag: 10 * time.Second, Boot: 30 * time.Second, Ending: time.Minute, Visible: 50 * time.Minute})
	r.template("relay", nil)
	id := r.launch("t1", 1, r.pools([]string{"a"}, "m5.large"))[0]
	ctx := context.Background()
	if r.describe(id) != nil {
		t.Error("it is listed at once")
	}
	_, err := r.client.TerminateInstances(ctx, &ec2.TerminateInstancesInput{InstanceIds: []string{id}})
	r.wantCode(err, "InvalidInstanceID.NotFound", 400)
	state := func() types.InstanceStateName {
		t.Helper()
		i := r.describe(id)
		if i == nil {
			return "gone"
		}
		return i.State.Name
	}
	for _, step := range []struct {
		after time.Duration
		do    func()
		want  types.InstanceStateName
	}{
		{10 * time.Second, nil, "pending"},
		{20 * time.Second, nil, "running"},
		{time.Hour, func() {
			if _, err := r.client.TerminateInstances(ctx, &ec2.TerminateInstancesInput{InstanceIds: []string{id}}); err != nil {
				t.Error(err)
			}
		}, "shutting-down"},
		{time.Minute, nil, "terminated"},
		{49 * time.Minute, nil, "terminated"},
		{2 * time.Minute, nil, "gone"},
	} {
		r.server.Advance(step.after)
		if step.do != nil {
			step.do()
		}
		if got := state(); got != step.want {
			t.Errorf("it is %s, not %s", got, step.want)
		}
	}
	_, err = r.client.DescribeInstances(ctx, &ec2.DescribeInstancesInput{InstanceIds: []string{id}})
	r.wantCode(err, "InvalidInstanceID.NotFound", 400)
}

// How an instance ended, and what of it a later call of ours overwrites.
func TestEvidence(t *testing.T) {
	terminate := func(r *rig, id string) {
		if _, err := r.client.TerminateInstances(context.Background(), &ec2.TerminateInstancesInput{InstanceIds: []string{id}}); err != nil {
			r.t.Error(err)
		}
	}
	cases := map[string]struct {
		end                   func(*rig, string)
		state, reason, status string
	}{
		"reclaimed":          {func(r *rig, id string) { r.server.Reclaim(id, 0) }, "terminated", "Server.SpotInstanceTermination", "instance-terminated-no-capacity"},
		"noticed":            {func(r *rig, id string) { r.server.Reclaim(id, time.Hour) }, "running", "", "instance-terminated-no-capacity"},
		"marked":             {func(r *rig, id string) { r.server.ReclaimAs(id, time.Hour, "marked-for-termination") }, "running", "", "marked-for-termination"},
		"noticed, then gone": {func(r *rig, id string) { r.server.Reclaim(id, time.Hour); r.server.Advance(time.Hour) }, "terminated", "Server.SpotInstanceTermination", "instance-terminated-no-capacity"},
		"withdrawn": {func(r *rig, id string) {
			r.server.Reclaim(id, time.Hour)
			r.server.Withdraw(id)
			r.server.Advance(time.Hour)
		}, "running", "", "fulfilled"},
		"by a call": {terminate, "terminated", "Client.UserInitiatedShutdown", "instance-terminated-by-user"},
		"noticed, then a call": {func(r *rig, id string) { r.server.Reclaim(id, time.Hour); terminate(r, id) },
			"terminated", "Client.UserInitiatedShutdown", "instance-terminated-by-user"},
		"reclaimed, then a call": {func(r *rig, id string) { r.server.Reclaim(id, 0); terminate(r, id) },
			"terminated", "Server.SpotInstanceTermination", "instance-terminated-no-capacity"},
		"from inside": {func(r *rig, id string) { r.server.End(id, reasonInside) }, "terminated", "Client.InstanceInitiatedShutdown", "instance-terminated-by-user"},
		"host retired": {func(r *rig, id string) {
			r.server.End(id, Reason{"Server.ScheduledStop", "Server.ScheduledStop: Stopped due to a scheduled retirement"})
		},
			"terminated", "Server.ScheduledStop", "instance-terminated-by-service"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, Options{})
			r.template("relay", nil)
			id := r.launch("t1", 1, r.pools([]string{"a"}, "m5.large"))[0]
			c.end(r, id)
			i := r.describe(id)
			reason := ""
			if i.StateReason != nil {
				reason = aws.ToString(i.StateReason.Code)
			}
			if string(i.State.Name) != c.state || reason != c.reason || r.spotStatus(id) != c.status {
				t.Errorf("%s, %q, %s; want %s, %q, %s", i.State.Name, reason, r.spotStatus(id), c.state, c.reason, c.status)
			}
		})
	}
}

func TestFailedBoot(t *testing.T) {
	r := newRig(t, Options{})
	r.template("relay", nil)
	r.server.FailBoots(BootFailure{Code: "Client.VolumeLimitExceeded", Message: "Volume limit exceeded", Times: 1})
	ids := r.launch("t1", 2, r.pools([]string{"a"}, "m5.large"))
	if i := r.describe(ids[0]); i.State.Name != "terminated" || aws.ToString(i.StateReason.Code) != "Client.VolumeLimitExceeded" {
		t.Errorf("%+v", i)
	}
	if i := r.describe(ids[1]); i.State.Name != "running" {
		t.Errorf("the second one is %s", i.State.Name)
	}
}

// Pages have no gap and no double, whatever happens in between; a token is for
// its query alone.
func TestPages(t *testing.T) {
	r := newRig(t, Options{})
	r.template("relay", nil)
	ids := r.launch("t1", 23, r.pools([]string{"a", "b"}, "m5.large"))
	ctx := context.Background()
	in := &ec2.DescribeInstancesInput{MaxResults: aws.Int32(5), Filters: []types.Filter{{Name: aws.String("tag:run"), Values: []string{"r1"}}}}
	var got []string
	pages := 0
	for {
		out, err := r.client.DescribeInstances(ctx, in)
		if err != nil {
			t.Fatal(err)
		}
		pages++
		for _, reservation := range out.Reservations {
			for _, i := range reservation.Instances {
				got = append(got, aws.ToString(i.InstanceId))
			}
		}
		if out.NextToken == nil {
			break
		}
		in.NextToken = out.NextToken
	}
	if !slices.Equal(got, ids) || pages != 5 {
		t.Errorf("%d instances on %d pages", len(got), pages)
	}
	other := *in
	other.Filters = nil
	_, err := r.client.DescribeInstances(ctx, &other)
	r.wantCode(err, "InvalidParameterValue", 400)
	_, err = r.client.DescribeInstances(ctx, &ec2.DescribeInstancesInput{MaxResults: aws.Int32(1001)})
	r.wantCode(err, "InvalidParameterValue", 400)
	_, err = r.client.DescribeInstances(ctx, &ec2.DescribeInstancesInput{MaxResults: aws.Int32(5), InstanceIds: ids[:1]})
	r.wantCode(err, "InvalidParameterCombination", 400)
	_, err = r.client.DescribeInstances(ctx, &ec2.DescribeInstancesInput{Filters: []types.Filter{{Name: aws.String("colour"), Values: []string{"red"}}}})
	r.wantCode(err, "InvalidParameterValue", 400)
	if len(r.server.Forgive()) != 4 {
		t.Error("not all of them are violations")
	}
}

func TestTerminateKnowsAllOrNone(t *testing.T) {
	r := newRig(t, Options{})
	r.template("relay", nil)
	id := r.launch("t1", 1, r.pools([]string{"a"}, "m5.large"))[0]
	ctx := context.Background()
	_, err := r.client.TerminateInstances(ctx, &ec2.TerminateInstancesInput{InstanceIds: []string{id, "i-0123456789abcdef0"}})
	r.wantCode(err, "InvalidInstanceID.NotFound", 400)
	_, err = r.client.TerminateInstances(ctx, &ec2.TerminateInstancesInput{InstanceIds: []string{id, "web-1"}})
	r.wantCode(err, "InvalidInstanceID.Malformed", 400)
	if len(r.server.Forgive()) != 1 || len(r.server.Live()) != 1 {
		t.Errorf("%q live", r.server.Live())
	}
}

func TestFiltersMatchWildcards(t *testing.T) {
	for _, c := range []struct {
		pattern, value string
		want           bool
	}{
		{"m5.*", "m5.large", true}, {"m5.?arge", "m5.large", true}, {"m5", "m5.large", false}, {"*", "a/b", true},
		{"a*c", "a/b/c", true}, {`a\*`, "a*", true}, {`a\*`, "ab", false}, {"[ab]", "a", false}, {"[ab]*", "[ab]c", true},
	} {
		if got := like(c.pattern, c.value); got != c.want {
			t.Errorf("like(%q, %q) is %v", c.pattern, c.value, got)
		}
	}
}

// The metadata service: tokens as IMDSv2 wants them, and what it tells.
func TestMetadata(t *testing.T) {
	r := newRig(t, Options{})
	r.template("relay", nil)
	id := r.launch("t1", 1, r.pools([]string{"a"}, "m5.large"))[0]
	service := httptest.NewServer(r.server.Metadata(id))
	defer service.Close()
	get := func(method, path string, headers ...string) (int, string) {
		t.Helper()
		request, err := http.NewRequest(method, service.URL+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		for i := 0; i < len(headers); i += 2 {
			request.Header.Set(headers[i], headers[i+1])
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		body, _ := io.ReadAll(response.Body)
		return response.StatusCode, string(body)
	}
	action := "/latest/meta-data/spot/instance-action"
	status, token := get("PUT", "/latest/api/token", lifeHeader, "60")
	if status != 200 || token == "" {
		t.Fatalf("%d %q", status, token)
	}
	for name, c := range map[string]struct {
		want    int
		headers []string
	}{
		"no life": {400, nil}, "too long": {400, []string{lifeHeader, "21601"}}, "forwarded": {403, []string{lifeHeader, "60", "X-Forwarded-For", "1.2.3.4"}},
	} {
		if status, _ := get("PUT", "/latest/api/token", c.headers...); status != c.want {
			t.Errorf("%s: %d", name, status)
		}
	}
	if status, _ := get("GET", action); status != 401 {
		t.Errorf("without a token: %d", status)
	}
	if status, _ := get("GET", action, tokenHeader, token); status != 404 {
		t.Errorf("before the notice: %d", status)
	}
	r.server.Reclaim(id, time.Hour)
	if _, seen := r.server.Reaction(id); seen {
		t.Error("the notice has been seen before it was read")
	}
	if status, body := get("GET", action, tokenHeader, token); status != 200 || !strings.Contains(body, `"action":"terminate"`) {
		t.Errorf("%d %s", status, body)
	}
	if _, seen := r.server.Reaction(id); !seen {
		t.Error("the notice has not been seen")
	}
	r.server.Schedule(id, ScheduledEvent{Code: "instance-retirement", NotBefore: time.Date(2019, 1, 21, 9, 0, 43, 0, time.UTC)})
	if _, body := get("GET", "/latest/meta-data/events/maintenance/scheduled", tokenHeader, token); !strings.Contains(body, `"NotBefore":"21 Jan 2019 09:00:43 GMT"`) {
		t.Error(body)
	}
	r.server.Advance(time.Minute)
	if status, _ := get("GET", action, tokenHeader, token); status != 401 {
		t.Errorf("with an old token: %d", status)
	}
}

func TestThousandInstances(t *testing.T) {
	r := newRig(t, Options{})
	r.template("relay", nil)
	ids := r.launch("t1", 1000, r.pools([]string{"a"}, "m5.large"))
	out, err := r.client.DescribeInstances(context.Background(), &ec2.DescribeInstancesInput{MaxResults: aws.Int32(1000)})
	if err != nil || out.NextToken != nil {
		t.Fatal(err)
	}
	if _, err := r.client.TerminateInstances(context.Background(), &ec2.TerminateInstancesInput{InstanceIds: ids}); err != nil {
		t.Fatal(err)
	}
	if live := r.server.Live(); len(live) > 0 {
		t.Errorf("%d are left", len(live))
	}
	if calls := r.server.Calls(""); len(calls) != 4 {
		t.Error(fmt.Sprint(calls))
	}
}
