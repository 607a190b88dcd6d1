package providertest

import (
	"maps"
	"slices"

	"github.com/spotrelay/spotrelay/providers"
)

const unknownID = "i-no-such-instance"

// lifecycle follows two instances of one launch from their birth to their end.
func (s *suite) lifecycle(t node) {
	request := s.request(t, providers.Spot, 2)
	instances := s.mustLaunch(t, request)
	if len(instances) != 2 {
		t.FailNow()
	}
	first, second := instances[0].ID, instances[1].ID
	if s.Restart != nil {
		s.provider = s.Restart(t)
	}
	t.run("repeated-token", func(t node) { s.repeatedToken(t, request, instances) })
	t.run("other-request", func(t node) { s.otherRequest(t, request) })
	t.run("list", func(t node) { s.list(t, request, []string{first, second}) })
	t.run("running", func(t node) { s.running(t, first, second) })
	t.run("console", func(t node) { s.console(t, first) })
	t.run("terminate-one", func(t node) { s.terminateOne(t, first, second) })
	t.run("terminate-rest", func(t node) {
		must(t, "Terminate", s.provider.Terminate(t.Context(), s.Fleet, []string{second}))
		s.wantEnded(t, []string{first, second})
	})
	t.run("terminate-again", func(t node) {
		ids := []string{first, unknownID, second}
		must(t, "Terminate of ended and unknown instances", s.provider.Terminate(t.Context(), s.Fleet, ids))
		must(t, "Terminate of none", s.provider.Terminate(t.Context(), s.Fleet, nil))
	})
}

// repeatedToken: the same request gives the same instances.
func (s *suite) repeatedToken(t T, request providers.LaunchRequest, instances []providers.Instance) {
	again, err := s.launch(t.Context(), request)
	must(t, "Launch with the same token and request", err)
	if got, want := idsOf(again.Instances), idsOf(instances); !slices.Equal(got, want) {
		t.Errorf("the same token gave %q the first time and %q the second", want, got)
	}
}

// otherRequest: a token is good for one request.
func (s *suite) otherRequest(t T, request providers.LaunchRequest) {
	request.Count++
	result, err := s.launch(t.Context(), request)
	wantCode(t, "Launch with the same token and another request", err, providers.CodeTokenMismatch)
	if len(result.Instances) > 0 {
		t.Errorf("it gave instances: %q", idsOf(result.Instances))
	}
}

// list: all tags must agree.
func (s *suite) list(t T, request providers.LaunchRequest, ids []string) {
	s.wantListed(t, request.Tags, ids)
	s.wantListed(t, map[string]string{providers.TagIntent: request.Token}, ids)
	for _, key := range []string{providers.TagRun, providers.TagIntent, "spotrelay-conformance-no-such-tag"} {
		other := maps.Clone(request.Tags)
		other[key] = "other"
		listed, err := s.provider.List(t.Context(), s.Fleet, other)
		must(t, "List", err)
		if len(listed) > 0 {
			t.Errorf("List with %s=other gives %q, which do not bear that", key, idsOf(listed))
		}
	}
}

// wantRunning waits until ids are no longer pending.
func (s *suite) wantRunning(t T, ids []string) {
	t.Helper()
	running := s.eventually(t.Context(), func() bool {
		evidence := s.evidence(t, ids)
		return !slices.ContainsFunc(evidence, func(e providers.Evidence) bool { return e.State != providers.StateRunning })
	})
	if !running {
		t.Errorf("%q did not reach the state %q within %s", ids, providers.StateRunning, s.Wait)
		t.FailNow()
	}
}

// wantEnded wants ids to end up terminated or absent.
func (s *suite) wantEnded(t T, ids []string) {
	t.Helper()
	var living []string
	ended := s.eventually(t.Context(), func() bool {
		listed, err := s.provider.List(t.Context(), s.Fleet, map[string]string{providers.TagRun: s.run})
		must(t, "List", err)
		living = nil
		for _, instance := range listed {
			if slices.Contains(ids, instance.ID) && instance.State != providers.StateTerminated {
				living = append(living, instance.ID+" "+string(instance.State))
			}
		}
		return len(living) == 0
	})
	if !ended {
		t.Errorf("terminated and still there after %s: %q", s.Wait, living)
	}
}

// running: evidence of the living says so, in the order asked for.
func (s *suite) running(t T, first, second string) {
	ids := []string{second, unknownID, first}
	evidence := s.evidence(t, ids)
	for _, i := range []int{0, 2} {
		if evidence[i].Cause != providers.EndRunning {
			t.Errorf("%s lives, and the evidence is %+v; want cause %q", ids[i], evidence[i], providers.EndRunning)
		}
	}
	if evidence[1].Cause != providers.EndUnknown || evidence[1].State != "" {
		t.Errorf("of an instance that never was, the evidence is %+v; want cause %q and no state", evidence[1], providers.EndUnknown)
	}
	if none := s.evidence(t, nil); len(none) != 0 {
		t.Errorf("evidence of no instances is %+v", none)
	}
}

// evidence asks, and wants an answer for each id in its place.
func (s *suite) evidence(t T, ids []string) []providers.Evidence {
	t.Helper()
	evidence, err := s.provider.Evidence(t.Context(), s.Fleet, ids)
	must(t, "Evidence", err)
	if len(evidence) != len(ids) {
		t.Errorf("evidence for %d ids has %d entries", len(ids), len(evidence))
		t.FailNow()
	}
	for i, id := range ids {
		if evidence[i].ID != id {
			t.Errorf("entry %d of the evidence is of %q; want %q", i, evidence[i].ID, id)
		}
	}
	return evidence
}

func (s *suite) console(t T, id string) {
	if !s.description.Has(providers.CapabilityConsole) {
		t.Skipf("no capability %q", providers.CapabilityConsole)
	}
	console, ok := s.provider.(providers.Console)
	if !ok {
		t.Errorf("it is no providers.Console")
		t.FailNow()
	}
	output, err := console.Console(t.Context(), s.Fleet, id)
	must(t, "Console", err)
	if len(output) > 64<<10 {
		t.Errorf("the console output has %d bytes; want 64 KiB at most", len(output))
	}
	_, err = console.Console(t.Context(), s.Fleet, unknownID)
	wantCode(t, "Console of an unknown instance", err, providers.CodeNotFound)
}

// terminateOne ends one of two; the other lives on, and the evidence names us.
func (s *suite) terminateOne(t T, first, second string) {
	must(t, "Terminate", s.provider.Terminate(t.Context(), s.Fleet, []string{first}))
	s.wantEnded(t, []string{first})
	evidence := s.evidence(t, []string{first, second})
	// A provider that forgets what ended may have nothing to say.
	if cause := evidence[0].Cause; cause != providers.EndByUs && cause != providers.EndUnknown {
		t.Errorf("we ended %s, and the cause is %q", first, cause)
	}
	if evidence[1].Cause != providers.EndRunning {
		t.Errorf("%s was not terminated, and the evidence is %+v", second, evidence[1])
	}
}

// foreign: an instance of somebody else is not touched, nor is ours in the same
// call.
func (s *suite) foreign(t node) {
	if s.Foreign == nil {
		t.Skipf("Options.Foreign makes no instance without our tags")
	}
	id := s.Foreign(t)
	err := s.provider.Terminate(t.Context(), s.Fleet, []string{id})
	wantCode(t, "Terminate of somebody else's instance", err, providers.CodeNotOurs)
	if evidence := s.evidence(t, []string{id}); evidence[0].Cause != providers.EndRunning && evidence[0].Cause != providers.EndUnknown {
		t.Errorf("somebody else's instance: %+v", evidence[0])
	}
}

// preempt: a notice, and then the end, known as a reclaim.
func (s *suite) preempt(t node) {
	if !s.description.Has(providers.CapabilityPreempt) {
		t.Skipf("no capability %q", providers.CapabilityPreempt)
	}
	preempter, ok := s.provider.(providers.Preempter)
	if !ok {
		t.Errorf("it is no providers.Preempter")
		t.FailNow()
	}
	err := preempter.Preempt(t.Context(), s.Fleet, unknownID, s.Notice)
	wantCode(t, "Preempt of an unknown instance", err, providers.CodeNotFound)

	request := s.request(t, providers.Spot, 2)
	instances := s.mustLaunch(t, request)
	noticed, atOnce := instances[0].ID, instances[1].ID
	s.wantRunning(t, []string{noticed, atOnce})
	must(t, "Preempt", preempter.Preempt(t.Context(), s.Fleet, noticed, s.Notice))
	must(t, "Preempt with no notice", preempter.Preempt(t.Context(), s.Fleet, atOnce, 0))
	reclaimed := s.eventually(t.Context(), func() bool {
		evidence := s.evidence(t, []string{noticed, atOnce})
		for _, e := range evidence {
			switch e.Cause {
			case providers.EndRunning, providers.EndNoticed, providers.EndReclaimed:
			default:
				t.Errorf("%s was preempted, and the evidence is %+v", e.ID, e)
				t.FailNow()
			}
		}
		return evidence[0].Cause == providers.EndReclaimed && evidence[1].Cause == providers.EndReclaimed
	})
	if !reclaimed {
		t.Errorf("preempted and not %q within %s", providers.EndReclaimed, s.Wait)
	}
	s.wantEnded(t, []string{noticed, atOnce})
}

func idsOf(instances []providers.Instance) []string {
	ids := make([]string, len(instances))
	for i, instance := range instances {
		ids[i] = instance.ID
	}
	slices.Sort(ids)
	return ids
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
