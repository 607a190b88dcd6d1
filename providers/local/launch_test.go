//go:build linux

package local

import (
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/spotrelay/spotrelay/providers"
)

func idsOf(result providers.LaunchResult) []string {
	var ids []string
	for _, instance := range result.Instances {
		ids = append(ids, instance.ID)
	}
	slices.Sort(ids)
	return ids
}

// Several processes and goroutines repeat one token at the same time: all get
// the same instances, and no more exist.
func TestTokenAmongProcesses(t *testing.T) {
	r := newRig(t, `{"max_instances": 8}`)
	request := r.request("idle", 2)
	results := make(chan []string, 8)
	var all sync.WaitGroup
	for range 3 {
		cmd := r.otherProcess("launch", request)
		var out bytes.Buffer
		cmd.Stdout = &out
		all.Go(func() {
			var result providers.LaunchResult
			if err := cmd.Run(); err != nil {
				t.Error(err)
			} else if err := json.Unmarshal(out.Bytes(), &result); err != nil {
				t.Error(err)
			}
			results <- idsOf(result)
		})
	}
	for range 3 {
		all.Go(func() {
			result, err := r.Launch(r.ctx, r.fleet, request)
			if err != nil {
				t.Error(err)
			}
			results <- idsOf(result)
		})
	}
	all.Wait()
	close(results)
	instances, err := r.List(r.ctx, r.fleet, request.Tags)
	if err != nil {
		t.Fatal(err)
	}
	listed := idsOf(providers.LaunchResult{Instances: instances})
	if len(listed) != 2 {
		t.Errorf("%d instances live, want 2", len(listed))
	}
	for ids := range results {
		if !slices.Equal(ids, listed) {
			t.Errorf("a call returned %v, listed are %v", ids, listed)
		}
	}
	request.Count = 1
	if _, err := r.Launch(r.ctx, r.fleet, request); providers.CodeOf(err) != providers.CodeTokenMismatch {
		t.Errorf("the token with another request: %v", err)
	}
}

// Fifty launches at once never exceed the machine's capacity.
func TestCapacityIsNeverExceeded(t *testing.T) {
	r := newRig(t, `{"max_instances": 3}`)
	var all sync.WaitGroup
	var mu sync.Mutex
	rented := 0
	for range 10 {
		request := r.request("idle", 2)
		all.Go(func() {
			result, err := r.Launch(r.ctx, r.fleet, request)
			if err != nil {
				t.Error(err)
			}
			if len(result.Instances) < 2 && len(result.Failures) == 0 {
				t.Error("fewer than asked for, and no word why")
			}
			for _, failure := range result.Failures {
				if failure.Code != providers.CodeQuota {
					t.Errorf("failure %+v", failure)
				}
			}
			mu.Lock()
			rented += len(result.Instances)
			mu.Unlock()
		})
	}
	all.Wait()
	if rented != 3 {
		t.Errorf("%d instances were rented, want 3", rented)
	}
	// An instance that ends makes room.
	ids, err := r.state.fleet(r.fleet.Name).ids()
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Terminate(r.ctx, r.fleet, ids[:1]); err != nil {
		t.Fatal(err)
	}
	r.launch("idle")
}

// A launcher that dies between the folder and the supervisor leaves an
// instance that is ended, and stays so when the launch is repeated.
func TestLaunchCutOffBeforeTheStart(t *testing.T) {
	r := newRig(t, `{}`)
	folder := r.state.fleet(r.fleet.Name)
	for _, dir := range []string{folder.tokens(), folder.runs(), folder.instances()} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	request := r.request("idle", 2)
	digest, err := digestOf(request)
	if err != nil {
		t.Fatal(err)
	}
	c, _ := readConfig(r.fleet.Config)
	l, err := r.decide(folder, c, request, digest)
	if err != nil {
		t.Fatal(err)
	}
	if err := writeJSON(filepath.Join(folder.tokens(), request.Token), l); err != nil {
		t.Fatal(err)
	}
	cut := folder.instance(l.Records[0].Instance.ID)
	if err := os.Mkdir(string(cut), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := writeJSON(cut.recordFile(), l.Records[0]); err != nil {
		t.Fatal(err)
	}
	lock, err := tryLock(cut.lockFile()) // the launcher still lives
	if err != nil || lock == nil {
		t.Fatal("lock", err)
	}
	if state := r.instance(cut.id()).State; state != providers.StatePending {
		t.Errorf("while it is launched it is %s", state)
	}
	draft := filepath.Join(folder.instances(), ".new-1")
	if err := os.Mkdir(draft, 0o700); err != nil {
		t.Fatal(err)
	}
	lock.Close() // and now it is dead
	if evidence := r.evidence(cut.id()); evidence.State != providers.StateTerminated || evidence.Cause != providers.EndHostEvent || evidence.Code != codeCutOff {
		t.Errorf("evidence %+v", evidence)
	}
	r.Provider = New(Options{StateDir: string(r.state)})
	result, err := r.Launch(r.ctx, r.fleet, request)
	if err != nil {
		t.Fatal(err)
	}
	if len(result.Instances) != 2 || result.Instances[0].ID != cut.id() || result.Instances[0].State != providers.StateTerminated {
		t.Errorf("the repetition returns %+v", result.Instances)
	}
	r.report(l.Records[1].Instance.ID) // the other one was made by it
	if _, err := os.Stat(draft); !os.IsNotExist(err) {
		t.Error("the draft of a dead launcher is left")
	}
}

func TestCapacityErrors(t *testing.T) {
	r := newRig(t, `{"max_instances": 9, "capacity_error": [
		{"zone": "local-a", "launches": 1, "code": "quota"},
		{"instance_type": "local.large", "for": "1h"},
		{"capacity": "on-demand", "launches": 1, "code": "throttled"}]}`)
	result, err := r.Launch(r.ctx, r.fleet, r.request("idle", 1))
	if err != nil {
		t.Fatal(err)
	}
	if len(result.Instances) != 1 || result.Instances[0].Offer.Zone != "local-b" || result.Instances[0].Offer.InstanceType != smallType {
		t.Errorf("rented %+v", result.Instances)
	}
	if len(result.Failures) != 1 || result.Failures[0].Code != providers.CodeQuota || result.Failures[0].Pool.Zone != "local-a" {
		t.Errorf("failures %+v", result.Failures)
	}
	request := r.request("idle", 1)
	request.Offers = slices.DeleteFunc(request.Offers, func(o providers.Offer) bool { return o.InstanceType != largeType })
	if result, err = r.Launch(r.ctx, r.fleet, request); err != nil || len(result.Instances) != 0 || len(result.Failures) != 2 || result.Failures[1].Code != providers.CodeCapacity {
		t.Errorf("large: %+v, %v", result, err)
	}
	again, err := r.Launch(r.ctx, r.fleet, request)
	if err != nil || !reflect.DeepEqual(again, result) {
		t.Errorf("repeated: %+v, %v", again, err)
	}
	offers, err := r.Offers(r.ctx, r.fleet, providers.Need{})
	if err != nil {
		t.Fatal(err)
	}
	request = r.request("idle", 1)
	request.Offers = ofCapacity(offers, providers.OnDemand)
	_, err = r.Launch(r.ctx, r.fleet, request)
	if providers.CodeOf(err) != providers.CodeThrottled {
		t.Errorf("throttled: %v", err)
	}
	r.launchRequest(request) // the same token, later
}

// A launch whose answer is lost has rented: the listing shows it, and so does
// the repetition.
func TestLostAnswer(t *testing.T) {
	r := newRig(t, `{"capacity_error": [{"launches": 1, "code": "unavailable"}]}`)
	request := r.request("idle", 1)
	if _, err := r.Launch(r.ctx, r.fleet, request); providers.CodeOf(err) != providers.CodeUnavailable {
		t.Fatalf("the launch says %v", err)
	}
	instances, err := r.List(r.ctx, r.fleet, request.Tags)
	if err != nil || len(instances) != 1 {
		t.Fatalf("listed %+v, %v", instances, err)
	}
	if id := r.launchRequest(request); id != instances[0].ID {
		t.Errorf("the repetition returns %s, want %s", id, instances[0].ID)
	}
}

func TestWrongRequests(t *testing.T) {
	r := newRig(t, `{}`)
	cases := map[string]func(*providers.LaunchRequest){
		"token":    func(q *providers.LaunchRequest) { q.Token = "a/b" },
		"count":    func(q *providers.LaunchRequest) { q.Count = 0 },
		"offers":   func(q *providers.LaunchRequest) { q.Offers = nil },
		"platform": func(q *providers.LaunchRequest) { q.Bootstrap.Agents = nil },
		"mixture": func(q *providers.LaunchRequest) {
			other := q.Offers[0]
			other.Capacity = providers.OnDemand
			q.Offers = append(q.Offers, other)
		},
	}
	for name, spoil := range cases {
		request := r.request("idle", 1)
		spoil(&request)
		_, err := r.Launch(r.ctx, r.fleet, request)
		if e := new(providers.Error); providers.CodeOf(err) != providers.CodeConfiguration || !asError(err, &e) || e.Hint == "" {
			t.Errorf("%s: %v", name, err)
		}
	}
	r.fleet.Config = json.RawMessage(`{"notice": "soon"}`)
	if _, err := r.Offers(r.ctx, r.fleet, providers.Need{}); providers.CodeOf(err) != providers.CodeConfiguration {
		t.Errorf("a wrong config: %v", err)
	}
	request := r.requestUnchecked()
	if result, err := r.Launch(r.ctx, providers.Fleet{Name: "other"}, request); err != nil || len(result.Instances) != 0 || result.Failures[0].Code != providers.CodeUnsupported {
		t.Errorf("an unknown pool: %+v, %v", result, err)
	}
}

func asError(err error, into **providers.Error) bool {
	return errors.As(err, into)
}

func (r *rig) requestUnchecked() providers.LaunchRequest {
	return providers.LaunchRequest{
		Token: "t", Count: 1, Offers: []providers.Offer{{Zone: "nowhere", InstanceType: "x", Capacity: providers.Spot}},
		Tags:      map[string]string{providers.TagBucket: "b", providers.TagRun: "r"},
		Bootstrap: providers.Bootstrap{Bucket: r.bucket, Agents: r.agents},
	}
}

// Ended instances are listed for an hour, and no more of them than can be
// looked through quickly.
func TestSweep(t *testing.T) {
	r := newRig(t, `{}`)
	old, fresh := r.launch("exit:"), r.launch("exit:")
	r.awaitEnd(old)
	r.awaitEnd(fresh)
	folder := r.state.fleet(r.fleet.Name)
	past := time.Now().Add(-2 * keepEnded)
	if err := os.Chtimes(folder.instance(old).endedFile(), past, past); err != nil {
		t.Fatal(err)
	}
	r.Provider = New(Options{StateDir: string(r.state)})
	r.await("the removal of the old one", "", func() bool {
		r.swept = map[fleetFolder]time.Time{}
		return r.instance(old).ID == ""
	})
	if r.instance(fresh).ID == "" {
		t.Error("the fresh one is removed too")
	}
	if cause := r.evidence(old).Cause; cause != providers.EndUnknown {
		t.Errorf("evidence of a removed one is %s", cause)
	}
	if err := r.Terminate(r.ctx, r.fleet, []string{old}); err != nil {
		t.Errorf("terminate of a removed one: %v", err)
	}
}

// TestFaultsSayWhatToDo for what may be wrong with the state folder.
func TestFaultsSayWhatToDo(t *testing.T) {
	for _, test := range []struct {
		err  error
		code providers.Code
		hint string
	}{
		{&fs.PathError{Op: "mkdir", Path: "/x", Err: syscall.EACCES}, providers.CodeDenied, "may write"},
		{&fs.PathError{Op: "mkdir", Path: "/x", Err: syscall.EROFS}, providers.CodeDenied, "may write"},
		{&fs.PathError{Op: "mkdir", Path: "/x", Err: syscall.ENOTDIR}, providers.CodeDenied, "may write"},
		{&fs.PathError{Op: "write", Path: "/x", Err: syscall.ENOSPC}, providers.CodeUnavailable, "free some room"},
		{&fs.PathError{Op: "write", Path: "/x", Err: syscall.EDQUOT}, providers.CodeUnavailable, "free some room"},
	} {
		err := wrap("launch", test.err)
		if e := new(providers.Error); !asError(err, &e) || e.Code != test.code || !strings.Contains(e.Hint, test.hint) {
			t.Errorf("%v: %v", test.err, err)
		}
	}
}
