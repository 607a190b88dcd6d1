package memory_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/spotrelay/spotrelay/providers"
	"github.com/spotrelay/spotrelay/providers/providertest"
	"github.com/spotrelay/spotrelay/providers/providertest/memory"
)

func TestConformance(t *testing.T) {
	provider := memory.New()
	fleet := providers.Fleet{Name: "here", Config: []byte(`{"zones":["m1"]}`)}
	providertest.Run(t, providertest.Options{
		New:     func(providertest.T) providers.Provider { return provider },
		Restart: func(providertest.T) providers.Provider { return provider },
		Fleet:   fleet,
		Need:    providers.Need{CPUs: 4},
		Foreign: func(providertest.T) string { return provider.Foreign(fleet.Name) },
		Notice:  50 * time.Millisecond,
		Wait:    10 * time.Second,
	})
}

func launch(t *testing.T, p *memory.Provider, offer providers.Offer, count int) providers.LaunchResult {
	t.Helper()
	result, err := p.Launch(t.Context(), providers.Fleet{Name: "here"}, providers.LaunchRequest{
		Token: "t1", Offers: []providers.Offer{offer}, Count: count, MaxLife: time.Hour,
		Tags: map[string]string{providers.TagBucket: "b"},
	})
	if err != nil {
		t.Fatal(err)
	}
	return result
}

func TestLimitIsCapacity(t *testing.T) {
	offer := providers.Offer{Zone: "z", InstanceType: "t", Capacity: providers.Spot, Price: 1, Limit: 2}
	p := &memory.Provider{Market: []providers.Offer{offer}}
	result := launch(t, p, offer, 3)
	if len(result.Instances) != 2 || len(result.Failures) != 1 || result.Failures[0].Code != providers.CodeCapacity {
		t.Errorf("3 of a pool of 2: %+v", result)
	}
}

func TestClockEndsLives(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	p := &memory.Provider{Clock: func() time.Time { return now }}
	result := launch(t, p, memory.DefaultMarket()[0], 1)
	id := result.Instances[0].ID
	cause := func() providers.EndCause {
		evidence, err := p.Evidence(t.Context(), providers.Fleet{Name: "here"}, []string{id})
		if err != nil {
			t.Fatal(err)
		}
		return evidence[0].Cause
	}
	for _, step := range []struct {
		after time.Duration
		want  providers.EndCause
	}{
		{59 * time.Minute, providers.EndRunning},
		{2 * time.Minute, providers.EndMaxLife},
		{2 * time.Hour, providers.EndUnknown},
	} {
		now = now.Add(step.after)
		if got := cause(); got != step.want {
			t.Errorf("at %s the cause is %q; want %q", now, got, step.want)
		}
	}
}

func TestScriptedFaultsAndCalls(t *testing.T) {
	p := memory.New()
	throttled := &providers.Error{Code: providers.CodeThrottled, Op: "list"}
	p.Fail("list", throttled)
	fleet := providers.Fleet{Name: "here"}
	if _, err := p.List(context.Background(), fleet, nil); !errors.Is(err, throttled) {
		t.Errorf("the first call gives %v", err)
	}
	if _, err := p.List(context.Background(), fleet, nil); err != nil {
		t.Errorf("the second call gives %v", err)
	}
	if calls := p.Calls(); len(calls) != 2 || calls[0].Op != "list" || calls[0].Fleet != "here" {
		t.Errorf("recorded: %+v", calls)
	}
}
