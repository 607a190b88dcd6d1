package providertest_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/spotrelay/spotrelay/providers"
	"github.com/spotrelay/spotrelay/providers/providertest"
	"github.com/spotrelay/spotrelay/providers/providertest/memory"
)

// planted is a provider in memory some of whose methods were replaced.
type planted struct {
	*memory.Provider
	describe  func(context.Context) (providers.Description, error)
	check     func(context.Context, providers.Fleet) ([]providers.Fault, error)
	launch    func(context.Context, providers.Fleet, providers.LaunchRequest) (providers.LaunchResult, error)
	list      func(context.Context, providers.Fleet, map[string]string) ([]providers.Instance, error)
	terminate func(context.Context, providers.Fleet, []string) error
	evidence  func(context.Context, providers.Fleet, []string) ([]providers.Evidence, error)
	console   func(context.Context, providers.Fleet, string) (string, error)
}

// plant makes a sound one, whose methods a test then replaces.
func plant() *planted {
	p := &planted{Provider: newCloud()}
	p.describe, p.check, p.launch, p.list = p.Provider.Describe, p.Provider.Check, p.Provider.Launch, p.Provider.List
	p.terminate, p.evidence, p.console = p.Provider.Terminate, p.Provider.Evidence, p.Provider.Console
	return p
}

func (p *planted) Describe(ctx context.Context) (providers.Description, error) {
	return p.describe(ctx)
}

func (p *planted) Check(ctx context.Context, fleet providers.Fleet) ([]providers.Fault, error) {
	return p.check(ctx, fleet)
}

func (p *planted) Launch(ctx context.Context, fleet providers.Fleet, request providers.LaunchRequest) (providers.LaunchResult, error) {
	return p.launch(ctx, fleet, request)
}

func (p *planted) List(ctx context.Context, fleet providers.Fleet, tags map[string]string) ([]providers.Instance, error) {
	return p.list(ctx, fleet, tags)
}

func (p *planted) Terminate(ctx context.Context, fleet providers.Fleet, ids []string) error {
	return p.terminate(ctx, fleet, ids)
}

func (p *planted) Evidence(ctx context.Context, fleet providers.Fleet, ids []string) ([]providers.Evidence, error) {
	return p.evidence(ctx, fleet, ids)
}

func (p *planted) Console(ctx context.Context, fleet providers.Fleet, id string) (string, error) {
	return p.console(ctx, fleet, id)
}

// fault is a mistake that authors of providers make.
type fault struct {
	plant func(*testing.T, *planted)
	found string // the case that must fail
	says  string // part of what it must say
}

var faults = map[string]fault{
	"a token is not idempotent": {func(_ *testing.T, p *planted) {
		var calls atomic.Int64
		p.launch = func(ctx context.Context, fleet providers.Fleet, request providers.LaunchRequest) (providers.LaunchResult, error) {
			if request.Token != "" && len(request.Token) < 60 {
				request.Token += fmt.Sprint("-", calls.Add(1)) // a new one for each call
			}
			return p.Provider.Launch(ctx, fleet, request)
		}
	}, "lifecycle/repeated-token", "the same token gave"},
	"a token is taken for another request": {func(_ *testing.T, p *planted) {
		former := map[string]providers.LaunchRequest{}
		var mu sync.Mutex
		p.launch = func(ctx context.Context, fleet providers.Fleet, request providers.LaunchRequest) (providers.LaunchResult, error) {
			mu.Lock()
			defer mu.Unlock()
			if first, used := former[request.Token]; used {
				request = first
			}
			former[request.Token] = request
			return p.Provider.Launch(ctx, fleet, request)
		}
	}, "lifecycle/other-request", "same token and another request"},
	"only the first page is listed": {func(_ *testing.T, p *planted) {
		p.list = func(ctx context.Context, fleet providers.Fleet, tags map[string]string) ([]providers.Instance, error) {
			listed, err := p.Provider.List(ctx, fleet, tags)
			return listed[:min(page, len(listed))], err
		}
	}, "pages", "all pages read"},
	"terminate fails on a gone instance": {func(_ *testing.T, p *planted) {
		p.terminate = func(ctx context.Context, fleet providers.Fleet, ids []string) error {
			for _, id := range ids {
				evidence, err := p.Provider.Evidence(ctx, fleet, []string{id})
				if err == nil && evidence[0].State == providers.StateTerminated {
					return &providers.Error{Code: providers.CodeNotFound, Op: "terminate", Message: id + " is gone"}
				}
			}
			return p.Provider.Terminate(ctx, fleet, ids)
		}
	}, "lifecycle/terminate-again", "Terminate of ended and unknown instances"},
	"a tag is missing at the creation": {func(_ *testing.T, p *planted) {
		p.launch = func(ctx context.Context, fleet providers.Fleet, request providers.LaunchRequest) (providers.LaunchResult, error) {
			delete(request.Tags, providers.TagIntent)
			return p.Provider.Launch(ctx, fleet, request)
		}
	}, "lifecycle", "tag spotrelay-intent is"},
	"tags come after the creation": {func(_ *testing.T, p *planted) {
		var mu sync.Mutex
		bare := map[string]bool{}
		p.launch = func(ctx context.Context, fleet providers.Fleet, request providers.LaunchRequest) (providers.LaunchResult, error) {
			mu.Lock()
			defer mu.Unlock()
			result, err := p.Provider.Launch(ctx, fleet, request)
			for _, instance := range result.Instances {
				bare[instance.ID] = true
			}
			return result, err
		}
		p.list = func(ctx context.Context, fleet providers.Fleet, tags map[string]string) ([]providers.Instance, error) {
			mu.Lock()
			defer mu.Unlock()
			listed, err := p.Provider.List(ctx, fleet, tags)
			listed = slices.DeleteFunc(listed, func(i providers.Instance) bool { return bare[i.ID] })
			clear(bare) // whatever tags them has caught up
			return listed, err
		}
	}, "lifecycle/list", "are the tags there from the creation on"},
	"somebody else's instance is ended": {func(_ *testing.T, p *planted) {
		p.terminate = func(ctx context.Context, fleet providers.Fleet, ids []string) error {
			err := p.Provider.Terminate(ctx, fleet, ids)
			if errors.Is(err, &providers.Error{Code: providers.CodeNotOurs}) {
				return nil
			}
			return err
		}
	}, "foreign", "somebody else's instance"},
	"unknown ids have no evidence": {func(_ *testing.T, p *planted) {
		p.evidence = func(ctx context.Context, fleet providers.Fleet, ids []string) ([]providers.Evidence, error) {
			evidence, err := p.Provider.Evidence(ctx, fleet, ids)
			return slices.DeleteFunc(evidence, func(e providers.Evidence) bool { return e.State == "" }), err
		}
	}, "lifecycle/running", "evidence for 3 ids has 2 entries"},
	"evidence is in the order of ids' names": {func(_ *testing.T, p *planted) {
		p.evidence = func(ctx context.Context, fleet providers.Fleet, ids []string) ([]providers.Evidence, error) {
			return p.Provider.Evidence(ctx, fleet, slices.Sorted(slices.Values(ids)))
		}
	}, "lifecycle/running", "entry 0 of the evidence is of"},
	"a reclaimed instance is forgotten": {func(_ *testing.T, p *planted) {
		p.evidence = func(ctx context.Context, fleet providers.Fleet, ids []string) ([]providers.Evidence, error) {
			evidence, err := p.Provider.Evidence(ctx, fleet, ids)
			for i := range evidence {
				if evidence[i].Cause == providers.EndReclaimed {
					evidence[i] = providers.Evidence{ID: evidence[i].ID, Cause: providers.EndUnknown}
				}
			}
			return evidence, err
		}
	}, "preempt", "was preempted, and the evidence is"},
	"another capacity type is launched": {func(_ *testing.T, p *planted) {
		p.launch = func(ctx context.Context, fleet providers.Fleet, request providers.LaunchRequest) (providers.LaunchResult, error) {
			asked := slices.Clone(request.Offers)
			for i := range asked {
				asked[i].Capacity = providers.OnDemand
			}
			request.Offers = asked
			return p.Provider.Launch(ctx, fleet, request)
		}
	}, "lifecycle", "is of a pool that was not asked for"},
	"the listing has another capacity type": {func(_ *testing.T, p *planted) {
		p.list = func(ctx context.Context, fleet providers.Fleet, tags map[string]string) ([]providers.Instance, error) {
			listed, err := p.Provider.List(ctx, fleet, tags)
			for i := range listed {
				listed[i].Offer.Capacity = providers.OnDemand
			}
			return listed, err
		}
	}, "lifecycle/list", "Launch said"},
	"a partial launch is an error": {func(_ *testing.T, p *planted) {
		p.launch = func(ctx context.Context, fleet providers.Fleet, request providers.LaunchRequest) (providers.LaunchResult, error) {
			result, err := p.Provider.Launch(ctx, fleet, request)
			if err == nil && len(result.Instances) < request.Count && len(result.Instances) > 0 {
				return providers.LaunchResult{}, &providers.Error{Code: providers.CodeCapacity, Op: "launch", Message: "no room"}
			}
			return result, err
		}
	}, "partial", "fewer than asked for is a success with Failures"},
	"an error has no code": {func(_ *testing.T, p *planted) {
		p.launch = func(ctx context.Context, fleet providers.Fleet, request providers.LaunchRequest) (providers.LaunchResult, error) {
			result, err := p.Provider.Launch(ctx, fleet, request)
			if err != nil {
				return result, errors.New("it went wrong")
			}
			return result, nil
		}
	}, "bad-requests/no-token", "want a *providers.Error with code"},
	"the end of a context is not heard": {func(t *testing.T, p *planted) {
		p.list = func(ctx context.Context, fleet providers.Fleet, tags map[string]string) ([]providers.Instance, error) {
			if ctx.Err() != nil {
				<-t.Context().Done() // the suite must not wait for it
			}
			return p.Provider.List(ctx, fleet, tags)
		}
	}, "cancelled/list", "has not returned"},
	"check rents an instance": {func(_ *testing.T, p *planted) {
		p.check = func(ctx context.Context, fleet providers.Fleet) ([]providers.Fault, error) {
			p.Foreign(fleet.Name) // to see whether it boots; without tags at that
			return p.Provider.Check(ctx, fleet)
		}
	}, "check", "Check must rent nothing"},
	"a refused launch has rented": {func(_ *testing.T, p *planted) {
		p.launch = func(ctx context.Context, fleet providers.Fleet, request providers.LaunchRequest) (providers.LaunchResult, error) {
			if len(request.Token) > 64 {
				p.Foreign(fleet.Name)
			}
			return p.Provider.Launch(ctx, fleet, request)
		}
	}, "bad-requests", "Launch with a bad request must rent nothing"},
	"the console has no end": {func(_ *testing.T, p *planted) {
		p.console = func(ctx context.Context, fleet providers.Fleet, id string) (string, error) {
			output, err := p.Provider.Console(ctx, fleet, id)
			return output + strings.Repeat("x", 64<<10), err
		}
	}, "lifecycle/console", "want 64 KiB at most"},
}

// TestSuiteFindsPlantedFaults plants one mistake at a time and wants the case
// that is there for it to fail, and to say what is wrong.
func TestSuiteFindsPlantedFaults(t *testing.T) {
	for name, fault := range faults {
		t.Run(name, func(t *testing.T) {
			p := plant()
			fault.plant(t, p)
			results, ok := check(t, p, p.Provider)
			wantFound(t, results, ok, fault.found, fault.says)
		})
	}
}

func wantFound(t *testing.T, results map[string]providertest.Result, ok bool, found, says string) {
	t.Helper()
	if ok {
		t.Error("the suite is content")
	}
	result := results[found]
	said := slices.ContainsFunc(result.Log, func(line string) bool { return strings.Contains(line, says) })
	if result.Outcome != providertest.Failed || !said {
		t.Errorf("case %s: %s %q; want it failed, saying %q", found, result.Outcome, result.Log, says)
	}
}

// TestSuiteFindsDescribeOnTheNetwork: a provider that asks its cloud before it
// describes itself is found where there is none.
func TestSuiteFindsDescribeOnTheNetwork(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	defer server.Close()
	asking := func(client *http.Client) *planted {
		p := plant()
		p.describe = func(ctx context.Context) (providers.Description, error) {
			request, err := http.NewRequestWithContext(ctx, http.MethodGet, server.URL, nil)
			if err != nil {
				return providers.Description{}, err
			}
			response, err := client.Do(request)
			if err != nil {
				return providers.Description{}, &providers.Error{Code: providers.CodeUnavailable, Op: "describe", Message: err.Error()}
			}
			defer response.Body.Close()
			return p.Provider.Describe(ctx)
		}
		return p
	}
	results := map[string]providertest.Result{}
	ok := providertest.Check(t.Context(), providertest.Options{
		New:     func(providertest.T) providers.Provider { return asking(http.DefaultClient) },
		Offline: func(providertest.T) providers.Provider { return asking(&http.Client{Transport: noNetwork{}}) },
		Fleet:   providers.Fleet{Name: "here"},
	}, func(r providertest.Result) { results[r.Name] = r })
	wantFound(t, results, ok, "describe", "Describe without network and credentials")
}

// noNetwork is a machine that reaches nothing.
type noNetwork struct{}

func (noNetwork) RoundTrip(*http.Request) (*http.Response, error) {
	return nil, errors.New("network is unreachable")
}
