//go:build linux

package local

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spotrelay/spotrelay/providers"
)

func TestScriptedEnds(t *testing.T) {
	cases := map[string]struct {
		config string
		do     string
		want   providers.EndCause
	}{
		"preempted after a time":       {config: `{"preempt_after": ["100ms"], "notice": "0s"}`, do: "idle", want: providers.EndReclaimed},
		"with a notice":                {config: `{"preempt_after": ["50ms"], "notice": "200ms"}`, do: "idle", want: providers.EndReclaimed},
		"leaves within the notice":     {config: `{"event": [{"instance": 1, "after": "0s", "action": "preempt", "notice": "1h"}]}`, do: "exit-on-notice", want: providers.EndReclaimed},
		"killed":                       {config: `{"event": [{"instance": 1, "after": "100ms", "action": "kill"}]}`, do: "idle", want: providers.EndReclaimed},
		"host crash":                   {config: `{"event": [{"instance": 1, "after": "100ms", "action": "crash"}]}`, do: "idle", want: providers.EndHostEvent},
		"maintenance":                  {config: `{"event": [{"instance": 1, "after": "100ms", "action": "maintenance", "notice": "100ms"}]}`, do: "idle", want: providers.EndHostEvent},
		"ended by somebody":            {config: `{"event": [{"instance": 1, "after": "100ms", "action": "user-terminate"}]}`, do: "idle", want: providers.EndByUser},
		"shut down from within":        {config: `{"event": [{"instance": 1, "after": "100ms", "action": "shutdown"}]}`, do: "idle", want: providers.EndFromInside},
		"after the second checkpoint":  {config: `{"event": [{"instance": 1, "checkpoint": 2, "action": "kill"}]}`, do: "save:spcspc", want: providers.EndReclaimed},
		"in the middle of a save":      {config: `{"event": [{"instance": 1, "during_save": 2, "action": "kill"}]}`, do: "save:spfcsp", want: providers.EndReclaimed},
		"a save without a middle":      {config: `{"event": [{"instance": 1, "during_save": 1, "action": "crash"}]}`, do: "save:sfcs", want: providers.EndHostEvent},
		"on-demand is counted apart":   {config: `{"preempt_after": ["0s"], "event": [{"instance": 1, "capacity": "any", "after": "0s", "action": "kill"}]}`, do: "idle", want: providers.EndReclaimed},
		"never boots, then taken away": {config: `{"event": [{"instance": 1, "action": "never-boot"}], "preempt_after": ["200ms"], "notice": "0s"}`, do: "idle", want: providers.EndReclaimed},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, c.config)
			id := r.launch(c.do)
			evidence := r.awaitEnd(id)
			if evidence.Cause != c.want {
				t.Errorf("cause %s, want %s: %+v", evidence.Cause, c.want, evidence)
			}
			if evidence.At.IsZero() || evidence.Code == "" || evidence.Message == "" {
				t.Errorf("the evidence is thin: %+v", evidence)
			}
		})
	}
}

// While a notice runs the provider says so, and the metadata server too.
func TestNoticeAndWithdrawal(t *testing.T) {
	r := newRig(t, `{"event": [{"instance": 1, "after": "50ms", "action": "withdraw", "notice": "700ms"}, {"instance": 1, "after": "0s", "action": "rebalance"}]}`)
	id := r.launch("idle")
	r.report(id)
	r.await("the notice", id, func() bool { return r.evidence(id).Cause == providers.EndNoticed })
	var s state
	if err := readJSON(r.state.fleet(r.fleet.Name).instance(id).stateFile(), &s); err != nil {
		t.Fatal(err)
	}
	body, status := readMetadata(s.Metadata, "spot/instance-action")
	if status != http.StatusOK || !strings.Contains(body, `"action":"terminate"`) {
		t.Errorf("instance-action answers %d %q", status, body)
	}
	if body, status := readMetadata(s.Metadata, "events/recommendations/rebalance"); status != http.StatusOK {
		t.Errorf("rebalance answers %d %q", status, body)
	}
	r.await("the withdrawal", id, func() bool { return r.evidence(id).Cause == providers.EndRunning })
	if body, status := readMetadata(s.Metadata, "spot/instance-action"); status != http.StatusNotFound {
		t.Errorf("after the withdrawal instance-action answers %d %q", status, body)
	}
	if state := r.instance(id).State; state != providers.StateRunning {
		t.Errorf("after the withdrawal the instance is %s", state)
	}
}

func TestNeverBoot(t *testing.T) {
	r := newRig(t, `{"event": [{"instance": 1, "action": "never-boot"}]}`)
	id := r.launch("idle")
	r.await("running", id, func() bool { return r.instance(id).State == providers.StateRunning })
	text, err := r.Console(r.ctx, r.fleet, id)
	if err != nil || !strings.Contains(text, "never boots") {
		t.Errorf("console %q, %v", text, err)
	}
	other := r.launch("idle") // the second one does boot
	r.report(other)
	if _, err := os.Stat(filepath.Join(r.bucket, "reports", id)); err == nil {
		t.Error("the agent of an instance that never boots has run")
	}
}

func TestSilenceStopsEveryProcess(t *testing.T) {
	for _, isolation := range []string{isolationNamespaces, isolationGroup} {
		t.Run(isolation, func(t *testing.T) {
			r := newRig(t, `{"isolation": "`+isolation+`", "event": [{"instance": 1, "checkpoint": 1, "action": "silence"}]}`)
			id := r.launch("family")
			r.await("silence", id, func() bool { return r.stopped(id) })
			if !r.held("setsid") || !r.held("stubborn") || !r.held("orphan") {
				t.Error("the family is not stopped but gone")
			}
			if state := r.instance(id).State; state != providers.StateRunning {
				t.Errorf("a silent instance is %s, want running", state)
			}
			if err := r.Terminate(r.ctx, r.fleet, []string{id}); err != nil {
				t.Fatal(err)
			}
			if r.held("stubborn") || r.held("orphan") {
				t.Error("a stopped process survives the end")
			}
		})
	}
}

// stopped reports whether all processes of an instance are stopped, and that
// there are some.
func (r *rig) stopped(id string) bool {
	var s state
	if err := readJSON(r.state.fleet(r.fleet.Name).instance(id).stateFile(), &s); err != nil {
		return false // not there yet
	}
	p := population{roots: []int{s.Supervisor.PID}}
	members := 0
	for _, pid := range p.members() {
		if pid == s.Supervisor.PID {
			continue
		}
		members++
		data, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		_, rest, _ := strings.Cut(string(data), ") ")
		if !strings.HasPrefix(rest, "T") {
			return false
		}
	}
	return members >= 4
}

func TestPreemptByHand(t *testing.T) {
	r := newRig(t, `{}`)
	id := r.launch("idle")
	r.report(id)
	if err := r.Preempt(r.ctx, r.fleet, id, 300*time.Millisecond); err != nil {
		t.Fatal(err)
	}
	if evidence := r.evidence(id); evidence.Cause != providers.EndNoticed || evidence.State != providers.StateRunning {
		t.Errorf("after the notice: %+v", evidence)
	}
	if evidence := r.awaitEnd(id); evidence.Cause != providers.EndReclaimed {
		t.Errorf("cause %s", evidence.Cause)
	}
	for name, call := range map[string]string{"an ended one": id, "an unknown one": "i-unknown"} {
		if err := r.Preempt(r.ctx, r.fleet, call, 0); providers.CodeOf(err) != providers.CodeNotFound {
			t.Errorf("preempt of %s: %v", name, err)
		}
	}
	request := r.request("idle", 1)
	offers, err := r.Offers(r.ctx, r.fleet, providers.Need{})
	if err != nil {
		t.Fatal(err)
	}
	request.Offers = ofCapacity(offers, providers.OnDemand)
	if err := r.Preempt(r.ctx, r.fleet, r.launchRequest(request), 0); providers.CodeOf(err) != providers.CodeConfiguration {
		t.Errorf("preempt of an on-demand instance: %v", err)
	}
}
