package aws

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/spotrelay/spotrelay/providers"
	"github.com/spotrelay/spotrelay/providers/aws/ec2test"
)

// TestLaunchIsOneCall: all pools of a launch go into one call, and its template
// is made once for a run.
func TestLaunchIsOneCall(t *testing.T) {
	r := newRig(t, ec2test.Options{}, "")
	offers := r.offers(providers.Need{}, providers.Spot) // both architectures, three zones
	if len(offers) < 12 {
		t.Fatalf("only %d offers", len(offers))
	}
	r.launch(r.request("t1", 5, offers))
	r.launch(r.request("t2", 5, offers))
	if n := len(r.cloud.Calls("CreateFleet")); n != 2 {
		t.Errorf("%d calls of CreateFleet for two launches", n)
	}
	if made := r.cloud.Templates(); len(made) != 2 { // one for each architecture
		t.Errorf("templates: %q", made)
	}
	if n := len(r.cloud.Calls("CreateLaunchTemplate")); n != 2 {
		t.Errorf("%d calls of CreateLaunchTemplate", n)
	}
}

// TestInstancesAreMarked: everything that a launch makes bears its tags, and
// the user data is the run's, not the launch's.
func TestInstancesAreMarked(t *testing.T) {
	r := newRig(t, ec2test.Options{}, `{"tags": {"cost-centre": "research"}}`)
	first, second := r.spot("t1", 1)[0], r.spot("t2", 1)[0]
	for _, i := range r.cloud.Instances() {
		want := map[string]string{providers.TagBucket: "b1", providers.TagRun: "run-1", providers.TagFleet: "use1", "cost-centre": "research", "Name": "spotrelay run-1"}
		for key, value := range want {
			if i.Tags[key] != value {
				t.Errorf("%s: tag %s is %q", i.ID, key, i.Tags[key])
			}
		}
	}
	script := r.cloud.UserData(first)
	if !bytes.HasPrefix(script, []byte("#!/bin/sh\n")) || !bytes.Contains(script, []byte("agents/1/linux-amd64/agent")) {
		t.Errorf("the user data does not start an agent: %.200s", script)
	}
	if !bytes.Equal(script, r.cloud.UserData(second)) {
		t.Error("two launches of a run have different user data")
	}
	fleet := r.cloud.Calls("CreateFleet")[0].Input
	if text := fmt.Sprint(fleet); !strings.Contains(text, "volume") || !strings.Contains(text, "cost-centre") {
		t.Errorf("volumes are not tagged: %s", text)
	}
	template := fmt.Sprint(r.cloud.Calls("CreateLaunchTemplate")[0].Input)
	for _, part := range []string{"spot-instances-request", "HttpTokens:required", "HttpPutResponseHopLimit:1", "InstanceInitiatedShutdownBehavior:terminate"} {
		if !strings.Contains(template, part) {
			t.Errorf("the template lacks %s: %s", part, template)
		}
	}
}

// TestTokenAfterLostAnswer: a call whose answer is lost is repeated with its
// token, here and after a restart, and rents nothing twice.
func TestTokenAfterLostAnswer(t *testing.T) {
	r := newRig(t, ec2test.Options{}, "")
	request := r.request("t1", 3, r.offers(providers.Need{}, providers.Spot, "m5.large"))
	r.cloud.Inject(ec2test.Fault{Operation: "CreateFleet", LoseAnswer: true, Times: 2})
	first := r.launch(request)
	r.provider = r.anew()
	again := r.launch(request)
	if !slices.Equal(sorted(first), sorted(again)) || len(r.cloud.Live()) != 3 {
		t.Errorf("%q, then %q; there are %q", first, again, r.cloud.Live())
	}
	request.Count = 4
	for range 2 {
		_, err := r.provider.Launch(t.Context(), r.fleet, request)
		wantCode(t, err, providers.CodeTokenMismatch)
		r.provider = r.anew() // then it is EC2 that knows
	}
}

// TestThrottledLaunch: what is throttled rents nothing, and is repeated with
// its token until it is not.
func TestThrottledLaunch(t *testing.T) {
	r := newRig(t, ec2test.Options{}, "")
	r.cloud.Inject(ec2test.Fault{Operation: "CreateFleet", Code: "RequestLimitExceeded", Status: 503, Times: tries - 1})
	if ids := r.spot("t1", 2); len(ids) != 2 || len(r.cloud.Live()) != 2 {
		t.Errorf("%q; there are %q", ids, r.cloud.Live())
	}
}

// TestPartOfALaunch: fewer than asked for is a success that says why.
func TestPartOfALaunch(t *testing.T) {
	r := newRig(t, ec2test.Options{}, "")
	offers := r.offers(providers.Need{}, providers.Spot, "m5.large")
	for _, offer := range offers {
		r.cloud.SetCapacity(ec2test.Pool{Zone: offer.Zone, InstanceType: offer.InstanceType, Lifecycle: "spot"}, 2)
	}
	result, err := r.provider.Launch(t.Context(), r.fleet, r.request("t1", 10, offers))
	if err != nil || len(result.Instances) != 6 {
		t.Fatalf("%d instances, %v", len(result.Instances), err)
	}
	for _, offer := range offers {
		if !slices.ContainsFunc(result.Failures, func(f providers.Failure) bool { return f.Pool == offer.Pool() && f.Code == providers.CodeCapacity }) {
			t.Errorf("no failure of %v: %+v", offer.Pool(), result.Failures)
		}
	}
}

// TestFullSubnet: a subnet without addresses is told, and the zone's other one
// taken next.
func TestFullSubnet(t *testing.T) {
	s := &session{}
	s.full.life = crowdedLife
	subnets := []subnet{{id: "subnet-1", zone: "a"}, {id: "subnet-2", zone: "a"}, {id: "subnet-3", zone: "b"}}
	first := s.subnetFor(subnets, "t1")
	if len(first) != 2 || first["b"].id != "subnet-3" || !reflect.DeepEqual(first, s.subnetFor(subnets, "t1")) {
		t.Fatalf("%+v", first)
	}
	s.full.put(first["a"].id, struct{}{})
	for i := range 20 {
		if next := s.subnetFor(subnets, fmt.Sprint("t", i)); next["a"] == first["a"] || next["b"].id != "subnet-3" {
			t.Fatalf("the full subnet again: %+v", next)
		}
	}
	used := map[string]bool{}
	s.full.put("subnet-1", struct{}{})
	s.full.put("subnet-2", struct{}{})
	for i := range 40 { // both full: both are tried
		used[s.subnetFor(subnets, fmt.Sprint("t", i))["a"].id] = true
	}
	if len(used) != 2 {
		t.Errorf("launches are not spread: %v", used)
	}

	r := newRig(t, ec2test.Options{}, "")
	r.cloud.SetFreeAddresses("us-east-1a", 0)
	offers := slices.DeleteFunc(r.offers(providers.Need{}, providers.Spot, "m5.large"), func(o providers.Offer) bool { return o.Zone != "us-east-1a" })
	result, err := r.provider.Launch(t.Context(), r.fleet, r.request("t1", 1, offers))
	if err != nil || len(result.Failures) != 1 || result.Failures[0].Code != providers.CodeSubnet || result.Failures[0].Pool != offers[0].Pool() {
		t.Errorf("%+v, %v", result, err)
	}
	full, _ := r.provider.session(t.Context(), "launch", mustConfig(t, r.fleet.Config))
	if _, known := full.full.get(r.cloud.Subnet("us-east-1a")); !known {
		t.Error("the full subnet is not remembered")
	}
}

func mustConfig(t *testing.T, data []byte) config {
	t.Helper()
	c, faults := readConfig(data)
	if len(faults) > 0 {
		t.Fatalf("%+v", faults)
	}
	return c
}

// TestPoolsThatCannotBe: a zone without a subnet and an architecture without an
// agent are failures of their pools, and no call is made for them.
func TestPoolsThatCannotBe(t *testing.T) {
	r := newRig(t, ec2test.Options{}, "")
	offers := r.offers(providers.Need{}, providers.Spot, "c7g.large")
	elsewhere := offers[0]
	elsewhere.Zone, elsewhere.Arch = "us-east-1f", "amd64"
	request := r.request("t1", 1, append(offers, elsewhere))
	delete(request.Bootstrap.Agents, "linux-arm64")
	result, err := r.provider.Launch(t.Context(), r.fleet, request)
	if err != nil || len(result.Failures) != len(offers)+1 {
		t.Fatalf("%+v, %v", result, err)
	}
	for _, f := range result.Failures {
		if f.Code != providers.CodeUnsupported {
			t.Errorf("%+v", f)
		}
	}
	if n := len(r.cloud.Calls("CreateFleet")); n != 0 {
		t.Errorf("CreateFleet was called %d times", n)
	}
}

// TestDeniedLaunch: no instance and no permission is an error with the call, the
// action and the cloud's words.
func TestDeniedLaunch(t *testing.T) {
	for action, call := range map[string]string{
		"ec2:CreateFleet": "ec2:CreateFleet", "ec2:RunInstances": "ec2:CreateFleet", "ec2:CreateLaunchTemplate": "ec2:CreateLaunchTemplate",
	} {
		t.Run(action, func(t *testing.T) {
			r := newRig(t, ec2test.Options{}, "")
			request := r.request("t1", 1, r.offers(providers.Need{}, providers.Spot, "m5.large"))
			r.cloud.Deny(action)
			_, err := r.provider.Launch(t.Context(), r.fleet, request)
			e := wantCode(t, err, providers.CodeDenied)
			if e.Call != call || !strings.Contains(e.Hint, action) {
				t.Errorf("%+v", e)
			}
		})
	}
}

// TestTemplateRemoved: a template that somebody removed is made again, and the
// launch goes on.
func TestTemplateRemoved(t *testing.T) {
	r := newRig(t, ec2test.Options{}, "")
	r.spot("t1", 1)
	r.cloud.Inject(ec2test.Fault{Operation: "CreateFleet", Code: "InvalidLaunchTemplateName.NotFoundException", Times: 1})
	r.spot("t2", 1)
	if n := len(r.cloud.Calls("CreateLaunchTemplate")); n != 2 {
		t.Errorf("%d calls of CreateLaunchTemplate", n)
	}
	if made := r.cloud.Templates(); len(made) != 1 {
		t.Errorf("templates: %q", made)
	}
}

// TestOldTemplates: those of the bucket that are old go, others stay.
func TestOldTemplates(t *testing.T) {
	s := &session{}
	s.templates.set("spotrelay-used", true)
	old, young := time.Now().Add(-templateAge-time.Hour), time.Now().Add(-templateAge+time.Hour)
	for _, c := range []struct {
		name string
		made time.Time
		want bool
	}{
		{"spotrelay-1", old, true}, {"spotrelay-2", young, false}, {"spotrelay-used", old, false}, {"others", old, false},
	} {
		if got := s.isOld(types.LaunchTemplate{LaunchTemplateName: aws.String(c.name), CreateTime: aws.Time(c.made)}); got != c.want {
			t.Errorf("%s of %s: old is %v", c.name, c.made, got)
		}
	}
	r := newRig(t, ec2test.Options{}, "")
	r.spot("t1", 1)
	r.spot("t2", 1)
	if n := len(r.cloud.Calls("DescribeLaunchTemplates")); n != 1 {
		t.Errorf("old templates were looked for %d times; once a day is enough", n)
	}
	if made := r.cloud.Templates(); len(made) != 1 {
		t.Errorf("templates: %q", made)
	}
}

// TestTemplatesCopyWhole: whatever a given template says has its place in the
// request's type, also in what the SDK adds one day.
func TestTemplatesCopyWhole(t *testing.T) {
	given := &givenTemplate{}
	fillAll(reflect.ValueOf(&given.data).Elem())
	data, err := startFrom(given)
	if err != nil {
		t.Fatal(err)
	}
	want, got := leaves(t, given.data), leaves(t, data)
	answersOnly := map[string]bool{
		".MetadataOptions.State": true, ".Operator.HiddenByDefault": true, ".Operator.Managed": true,
		".NetworkInterfaces[0].Ipv6Addresses[0].IsPrimaryIpv6": true,
	}
	for path, text := range want {
		if got[path] != text && !answersOnly[path] {
			t.Errorf("%s is %q, and %q in the copy", path, text, got[path])
		}
	}
	if len(want) < 60 {
		t.Errorf("only %d fields were filled", len(want))
	}
}

// leaves of a value's JSON, as text by their paths.
func leaves(t *testing.T, v any) map[string]string {
	t.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	var tree any
	if err := json.Unmarshal(data, &tree); err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	var walk func(path string, v any)
	walk = func(path string, v any) {
		switch v := v.(type) {
		case map[string]any:
			for key, each := range v {
				walk(path+"."+key, each)
			}
		case []any:
			for i, each := range v {
				walk(fmt.Sprintf("%s[%d]", path, i), each)
			}
		default:
			found[path] = fmt.Sprint(v)
		}
	}
	walk("", tree)
	return found
}

// fillAll puts something into every field.
func fillAll(v reflect.Value) {
	switch v.Kind() {
	case reflect.String:
		v.SetString("text")
	case reflect.Int32, reflect.Int64:
		v.SetInt(7)
	case reflect.Float64:
		v.SetFloat(7)
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fillAll(v.Elem())
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fillAll(v.Index(0))
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			v.Set(reflect.ValueOf(time.Unix(7, 0).UTC()))
			return
		}
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				fillAll(v.Field(i))
			}
		}
	}
}
