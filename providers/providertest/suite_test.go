package providertest_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/spotrelay/spotrelay/providers"
	"github.com/spotrelay/spotrelay/providers/providertest"
	"github.com/spotrelay/spotrelay/providers/providertest/memory"
)

// broken is a provider in memory with one method gone wrong.
type broken struct {
	*memory.Provider
	describe  func(providers.Description) providers.Description
	check     func([]providers.Fault) []providers.Fault
	offers    func([]providers.Offer) []providers.Offer
	request   func(providers.LaunchRequest) providers.LaunchRequest
	launched  func(providers.LaunchResult) providers.LaunchResult
	tags      func(map[string]string) map[string]string
	terminate func(ids []string) ([]string, error)
	evidence  func([]providers.Evidence) []providers.Evidence
	deaf      bool // to its context
}

func (b broken) context(ctx context.Context) context.Context {
	if b.deaf {
		return context.WithoutCancel(ctx)
	}
	return ctx
}

func (b broken) Describe(ctx context.Context) (providers.Description, error) {
	d, err := b.Provider.Describe(b.context(ctx))
	return apply(b.describe, d), err
}

func (b broken) Check(ctx context.Context, fleet providers.Fleet) ([]providers.Fault, error) {
	faults, err := b.Provider.Check(b.context(ctx), fleet)
	return apply(b.check, faults), err
}

func (b broken) Offers(ctx context.Context, fleet providers.Fleet, need providers.Need) ([]providers.Offer, error) {
	offers, err := b.Provider.Offers(b.context(ctx), fleet, need)
	return apply(b.offers, offers), err
}

func (b broken) Launch(ctx context.Context, fleet providers.Fleet, request providers.LaunchRequest) (providers.LaunchResult, error) {
	result, err := b.Provider.Launch(b.context(ctx), fleet, apply(b.request, request))
	return apply(b.launched, result), err
}

func (b broken) List(ctx context.Context, fleet providers.Fleet, tags map[string]string) ([]providers.Instance, error) {
	return b.Provider.List(b.context(ctx), fleet, apply(b.tags, tags))
}

func (b broken) Terminate(ctx context.Context, fleet providers.Fleet, ids []string) error {
	if b.terminate != nil {
		var err error
		if ids, err = b.terminate(ids); err != nil {
			return err
		}
	}
	return b.Provider.Terminate(b.context(ctx), fleet, ids)
}

func (b broken) Evidence(ctx context.Context, fleet providers.Fleet, ids []string) ([]providers.Evidence, error) {
	evidence, err := b.Provider.Evidence(b.context(ctx), fleet, ids)
	return apply(b.evidence, evidence), err
}

func apply[V any](f func(V) V, v V) V {
	if f == nil {
		return v
	}
	return f(v)
}

// page is how many instances a page of the cloud in memory would hold.
const page = 4

// newCloud is a cloud whose pools have room for ten instances each.
func newCloud() *memory.Provider {
	market := memory.DefaultMarket()
	for i := range market {
		market[i].Limit = 10
	}
	return &memory.Provider{Market: market}
}

// check runs the suite and gives the outcome of each case.
func check(t *testing.T, provider providers.Provider, cloud *memory.Provider) (map[string]providertest.Result, bool) {
	t.Helper()
	results := map[string]providertest.Result{}
	ok := providertest.Check(t.Context(), providertest.Options{
		New:      func(providertest.T) providers.Provider { return provider },
		Fleet:    providers.Fleet{Name: "here"},
		Foreign:  func(providertest.T) string { return cloud.Foreign("here") },
		Living:   func(providertest.T) []string { return cloud.Living("here") },
		Page:     page,
		Parallel: 3,
		Notice:   time.Millisecond,
		Wait:     100 * time.Millisecond,
	}, func(r providertest.Result) { results[r.Name] = r })
	return results, ok
}

func TestSuitePassesTheSound(t *testing.T) {
	cloud := newCloud()
	results, ok := check(t, cloud, cloud)
	for name, result := range results {
		if result.Outcome != providertest.Passed {
			t.Errorf("%s: %s %q", name, result.Outcome, result.Log)
		}
	}
	if !ok || len(results) < 25 {
		t.Errorf("ok is %v after %d cases", ok, len(results))
	}
	for _, instance := range listAll(t, cloud) {
		if instance.State != providers.StateTerminated {
			t.Errorf("%s was left behind", instance.ID)
		}
	}
}

func listAll(t *testing.T, cloud *memory.Provider) []providers.Instance {
	t.Helper()
	instances, err := cloud.List(context.Background(), providers.Fleet{Name: "here"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return instances
}

// TestSuiteFindsTheBroken breaks one promise at a time and wants the case that
// is there for it to fail.
func TestSuiteFindsTheBroken(t *testing.T) {
	cases := map[string]struct {
		broken broken
		finds  string
	}{
		"no way to leave": {broken{describe: func(d providers.Description) providers.Description {
			d.Leave.Means = ""
			return d
		}}, "describe"},
		"a short token window": {broken{describe: func(d providers.Description) providers.Description {
			d.TokenWindow = time.Second
			return d
		}}, "describe"},
		"an unknown type in the schema": {broken{describe: func(d providers.Description) providers.Description {
			d.Schema.Attributes = []providers.Attribute{{Name: "a", Type: "list(", Description: "d"}}
			return d
		}}, "describe"},
		"faults kept secret": {broken{check: func([]providers.Fault) []providers.Fault { return nil }}, "check"},
		"an offer for nothing": {broken{offers: func(offers []providers.Offer) []providers.Offer {
			return append(offers, providers.Offer{
				Zone: "z", InstanceType: "free", Capacity: providers.Spot, Arch: "amd64", OS: "linux",
			})
		}}, "offers"},
		"no on-demand offers though claimed": {broken{offers: func(offers []providers.Offer) []providers.Offer {
			return slices.DeleteFunc(offers, func(o providers.Offer) bool { return o.Capacity == providers.OnDemand })
		}}, "offers"},
		"count 0 is taken for 1": {broken{request: func(r providers.LaunchRequest) providers.LaunchRequest {
			r.Count = max(r.Count, 1)
			return r
		}}, "bad-requests/count-0"},
		"one more than asked for": {broken{request: func(r providers.LaunchRequest) providers.LaunchRequest {
			if r.Count > 0 {
				r.Count++
			}
			return r
		}}, "lifecycle"},
		"any tag will do": {broken{tags: func(tags map[string]string) map[string]string {
			return map[string]string{providers.TagBucket: tags[providers.TagBucket]}
		}}, "lifecycle/list"},
		"tags not set": {broken{launched: func(r providers.LaunchResult) providers.LaunchResult {
			for i := range r.Instances {
				r.Instances[i].Tags = nil
			}
			return r
		}}, "lifecycle"},
		"evidence in another order": {broken{evidence: func(e []providers.Evidence) []providers.Evidence {
			slices.Reverse(e)
			return e
		}}, "lifecycle/terminate-one"},
		"nothing is ended": {broken{terminate: func([]string) ([]string, error) {
			return nil, nil
		}}, "lifecycle/terminate-rest"},
		"everything is ended": {broken{}, "lifecycle/terminate-one"}, // below
		"the gone are an error": {broken{terminate: func(ids []string) ([]string, error) {
			if slices.Contains(ids, "i-no-such-instance") {
				return nil, &providers.Error{Code: providers.CodeNotFound}
			}
			return ids, nil
		}}, "lifecycle/terminate-again"},
		"somebody else's is passed over in silence": {broken{}, "foreign"}, // below
		"a reclaim is called ours": {broken{evidence: func(evidence []providers.Evidence) []providers.Evidence {
			for i := range evidence {
				if evidence[i].Cause == providers.EndReclaimed {
					evidence[i].Cause = providers.EndByUs
				}
			}
			return evidence
		}}, "preempt"},
		"deaf to its context": {broken{deaf: true}, "cancelled/launch"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			cloud := newCloud()
			c.broken.Provider = cloud
			switch name {
			case "everything is ended":
				c.broken.terminate = func([]string) ([]string, error) {
					var all []string
					for _, instance := range listAll(t, cloud) {
						all = append(all, instance.ID)
					}
					return all, nil
				}
			case "somebody else's is passed over in silence":
				c.broken.terminate = func(ids []string) ([]string, error) {
					return slices.DeleteFunc(slices.Clone(ids), func(id string) bool {
						evidence, err := cloud.Evidence(context.Background(), providers.Fleet{Name: "here"}, []string{id})
						listed := slices.ContainsFunc(listAll(t, cloud), func(i providers.Instance) bool { return i.ID == id })
						return err == nil && evidence[0].Cause == providers.EndRunning && !listed
					}), nil
				}
			}
			results, ok := check(t, c.broken, cloud)
			if ok {
				t.Error("the suite is content")
			}
			if results[c.finds].Outcome != providertest.Failed {
				t.Errorf("case %s: %+v", c.finds, results[c.finds])
			}
		})
	}
}

func TestSuiteCleansUpAfterAPanic(t *testing.T) {
	cloud := newCloud()
	results, ok := check(t, broken{Provider: cloud, launched: func(r providers.LaunchResult) providers.LaunchResult {
		if len(r.Instances) == 2 {
			panic("in the middle")
		}
		return r
	}}, cloud)
	if ok || results["lifecycle"].Outcome != providertest.Failed {
		t.Errorf("%+v", results["lifecycle"])
	}
	for _, instance := range listAll(t, cloud) {
		if instance.State != providers.StateTerminated {
			t.Errorf("%s was left behind", instance.ID)
		}
	}
}
