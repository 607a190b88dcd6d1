package local

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spotrelay/spotrelay/providers"
)

func TestConfigDefaults(t *testing.T) {
	for _, raw := range []string{``, `{}`, ` `, `{"zones": null, "offer": [], "boot_delay": "0s", "max_instances": null}`} {
		c, faults := readConfig(json.RawMessage(raw))
		if len(faults) > 0 {
			t.Fatalf("%q: %+v", raw, faults)
		}
		if !slices.Equal(c.zones, defaultZones) || c.notice != 5*time.Second || c.network != networkHost || c.isolation != isolationAuto {
			t.Errorf("%q: %+v", raw, c)
		}
		if c.prices[providers.Spot] != defaultSpotPrice || c.prices[providers.OnDemand] != defaultOnDemandPrice {
			t.Errorf("%q: prices %v", raw, c.prices)
		}
	}
}

func TestConfigFaults(t *testing.T) {
	cases := []struct{ raw, path string }{
		{`{"notice": "soon"}`, "notice"},
		{`{"notice": "-1s"}`, "notice"},
		{`{"zones": ["a", "a"]}`, "zones.1"},
		{`{"max_instances": 0}`, "max_instances"},
		{`{"max_instances": 1.5}`, "max_instances"},
		{`{"spot_price": -1}`, "spot_price"},
		{`{"bandwidth": "fast"}`, "bandwidth"},
		{`{"network": "none"}`, "network"},
		{`{"network": "isolated", "isolation": "process-group"}`, "network"},
		{`{"share": ["here"]}`, "share.0"},
		{`{"preempt_after": ["1s", "x"]}`, "preempt_after.1"},
		{`{"offer": [{"cpus": 1}]}`, "offer.0.instance_type"},
		{`{"offer": [{"instance_type": "a", "cpus": 0}]}`, "offer.0.cpus"},
		{`{"offer": [{"instance_type": "a", "zone": "mars"}]}`, "offer.0.zone"},
		{`{"offer": [{"instance_type": "a"}, {"instance_type": "a", "zone": "local-a"}]}`, "offer.1.instance_type"},
		{`{"offer": [{"instance_type": "a", "memory": "much"}]}`, "offer.0.memory"},
		{`{"event": [{"instance": 1}]}`, "event.0"},
		{`{"event": [{"instance": 1, "after": "1s", "checkpoint": 1}]}`, "event.0"},
		{`{"event": [{"instance": 0, "after": "1s"}]}`, "event.0.instance"},
		{`{"event": [{"instance": 1, "after": "1s", "action": "explode"}]}`, "event.0.action"},
		{`{"event": [{"instance": 1, "after": "1s", "action": "never-boot"}]}`, "event.0.action"},
		{`{"event": [{"instance": 1, "during_save": 0}]}`, "event.0.during_save"},
		{`{"capacity_error": [{}]}`, "capacity_error.0"},
		{`{"capacity_error": [{"launches": 1, "for": "1s"}]}`, "capacity_error.0"},
		{`{"capacity_error": [{"launches": 1, "code": "bad luck"}]}`, "capacity_error.0.code"},
		{`{"capacity_error": [{"launches": 1, "zone": "mars"}]}`, "capacity_error.0.zone"},
		{`{"unknown": 1}`, ""},
		{`[`, ""},
	}
	for _, c := range cases {
		_, faults := readConfig(json.RawMessage(c.raw))
		if len(faults) != 1 {
			t.Errorf("%s: %d faults, want 1: %+v", c.raw, len(faults), faults)
			continue
		}
		if f := faults[0]; strings.Join(f.Path, ".") != c.path || f.Severity != providers.SeverityError || f.Summary == "" || f.Detail == "" {
			t.Errorf("%s: %+v, want the path %q", c.raw, f, c.path)
		}
	}
}

// Every attribute of the schema is read: the names of the schema and of the
// JSON agree, and examples and defaults are valid.
func TestSchemaAndConfigAgree(t *testing.T) {
	full := map[string]any{}
	for _, a := range schema().Attributes {
		full[a.Name] = example(t, a)
	}
	for _, b := range schema().Blocks {
		one := map[string]any{}
		for _, a := range b.Schema.Attributes {
			one[a.Name] = example(t, a)
		}
		// What excludes each other.
		delete(one, "checkpoint")
		delete(one, "during_save")
		delete(one, "for")
		full[b.Type] = []any{one}
	}
	raw, err := json.Marshal(full)
	if err != nil {
		t.Fatal(err)
	}
	if _, faults := readConfig(raw); len(faults) > 0 {
		t.Errorf("%s: %+v", raw, faults)
	}
}

func example(t *testing.T, a providers.Attribute) any {
	t.Helper()
	var v any
	if err := json.Unmarshal([]byte(a.Example), &v); err != nil {
		t.Fatalf("%s: the example %s is no JSON: %v", a.Name, a.Example, err)
	}
	return v
}

func FuzzConfig(f *testing.F) {
	f.Add([]byte(`{"offer": [{"instance_type": "a", "cpus": 2}], "event": [{"instance": 1, "after": "1s"}]}`))
	f.Add([]byte(`{"preempt_after": ["1s"], "bandwidth": "1MiB", "capacity_error": [{"for": "3s", "code": "quota"}]}`))
	f.Add([]byte(`{"max_instances": 1e300, "spot_price": 1e308, "notice": null}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		c, faults := readConfig(raw)
		if len(faults) > 0 {
			return
		}
		if len(c.zones) == 0 || c.maxInstances < 0 || c.notice < 0 || c.bandwidth < 0 {
			t.Errorf("accepted %q as %+v", raw, c)
		}
		for _, e := range c.events {
			if e.instance < 1 || e.step.After < 0 || e.step.Checkpoint < 0 || e.step.DuringSave < 0 {
				t.Errorf("accepted %q with event %+v", raw, e)
			}
		}
	})
}
