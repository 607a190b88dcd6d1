package aws

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/spotrelay/spotrelay/providers"
)

func TestReadConfig(t *testing.T) {
	for config, want := range map[string]string{ // the path of the one fault, "" for none
		`{"region": "us-east-1"}`:                "",
		`{"region": "us-gov-west-1"}`:            "",
		`{}`:                                     "region",
		`{"region": "us-east-1a"}`:               "region",
		`{"region": 7}`:                          "region",
		`{"region": "us-east-1", "regoin": "x"}`: "regoin",
		`{"region": "us-east-1", "subnets": ["subnet-0a1b2c3d", "vpc-1"]}`:                                      "subnets.1",
		`{"region": "us-east-1", "subnets": ["subnet-0a1b2c3d","subnet-0a1b2c3d"]}`:                             "subnets.1",
		`{"region": "us-east-1", "security_groups": ["default"]}`:                                               "security_groups.0",
		`{"region": "us-east-1", "instance_types": ["m5.*", "m[5"]}`:                                            "instance_types.1",
		`{"region": "us-east-1", "exclude_types": [""]}`:                                                        "exclude_types.0",
		`{"region": "us-east-1", "max_price": 0}`:                                                               "max_price",
		`{"region": "us-east-1", "max_instances": 1.5}`:                                                         "max_instances",
		`{"region": "us-east-1", "spot_allocation": "random"}`:                                                  "spot_allocation",
		`{"region": "us-east-1", "on_demand_allocation": "random"}`:                                             "on_demand_allocation",
		`{"region": "us-east-1", "endpoint": "localhost:4566"}`:                                                 "endpoint",
		`{"region": "us-east-1", "tags": {"spotrelay-run": "mine"}}`:                                            "tags.spotrelay-run",
		`{"region": "us-east-1", "tags": {"aws:x": "y"}}`:                                                       "tags.aws:x",
		`{"region": "us-east-1", "disk": [{"size": "17TiB"}]}`:                                                  "disk.0.size",
		`{"region": "us-east-1", "disk": [{"size": "100GiB", "type": "gp3", "throughput": 500, "iops": 6000}]}`: "",
		`{"region": "us-east-1", "disk": [{"type": "gp2", "throughput": 500}]}`:                                 "disk.0.throughput",
		`{"region": "us-east-1", "disk": [{"type": "gp2", "iops": 500}]}`:                                       "disk.0.iops",
		`{"region": "us-east-1", "disk": [{"kms_key": "k", "encrypted": false}]}`:                               "disk.0.kms_key",
		`{"region": "us-east-1", "disk": [{}, {}]}`:                                                             "disk.1",
		`{"region": "us-east-1", "assume_role": [{"arn": "spotrelay"}]}`:                                        "assume_role.0.arn",
		`{"region": "us-east-1", "launch_template": [{}]}`:                                                      "launch_template.0",
		`{"region": "us-east-1", "launch_template": [{"id": "lt-1", "name": "n"}]}`:                             "launch_template.0",
		`{"region": "us-east-1", "launch_template": [{"id": "lt-1"}]}`:                                          "",
		`[]`: "-",
	} {
		_, faults := readConfig(json.RawMessage(config))
		switch {
		case want == "" && len(faults) > 0:
			t.Errorf("%s: %+v", config, faults)
		case want == "":
		case len(faults) != 1 || faults[0].Summary == "" || faults[0].Detail == "" || faults[0].Severity != providers.SeverityError:
			t.Errorf("%s: %+v; want one fault, with what to do", config, faults)
		case want != "-" && strings.Join(faults[0].Path, ".") != want:
			t.Errorf("%s: the path is %q; want %s", config, faults[0].Path, want)
		}
	}
}

// TestSchemaIsTheConfig: what the schema allows the reader knows, and the
// defaults of both agree.
func TestSchemaIsTheConfig(t *testing.T) {
	sample := func(kind string) any {
		switch kind {
		case "string", "size":
			return "1GiB"
		case "number":
			return 3000
		case "bool":
			return true
		case "list(string)":
			return []string{"x"}
		case "map(string)":
			return map[string]string{"a": "b"}
		}
		t.Fatalf("a type that this test does not know: %s", kind)
		return nil
	}
	object := func(s providers.Schema) map[string]any {
		fields := map[string]any{}
		for _, a := range s.Attributes {
			fields[a.Name] = sample(a.Type)
			if a.Default != nil {
				fields[a.Name] = a.Default
			}
		}
		return fields
	}
	top := schema()
	fields := object(top)
	for _, b := range top.Blocks {
		fields[b.Type] = []any{object(b.Schema)}
	}
	data, err := json.Marshal(fields)
	if err != nil {
		t.Fatal(err)
	}
	c, faults := readConfig(data)
	for _, f := range faults {
		if strings.Contains(f.Summary, "no attribute") || strings.Contains(f.Summary, "does not fit") {
			t.Errorf("the schema and the reader disagree: %+v", f)
		}
	}
	plain, faults := readConfig(json.RawMessage(`{"region": "us-east-1"}`))
	if len(faults) > 0 {
		t.Fatal(faults)
	}
	if c.SpotAllocation != plain.SpotAllocation || c.OnDemandAlloc != plain.OnDemandAlloc || c.disk().Type != plain.disk().Type ||
		c.disk().Size != plain.disk().Size || c.template().Version != defaultVersion {
		t.Errorf("the schema's defaults are not the reader's: %+v, %+v", c, plain)
	}
}

// TestVolumeSize: never less than the fleet, the image or the task asks for.
func TestVolumeSize(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		fleet := rapid.Int64Range(1, maxVolume).Draw(t, "fleet")
		need := rapid.Int64Range(0, maxVolume).Draw(t, "need")
		image := rapid.IntRange(0, 500).Draw(t, "image")
		got := volumeSize(config{Disks: []diskBlock{{bytes: fleet}}}, providers.Need{Disk: need}, image) << 30
		if got < fleet || got < int64(image)<<30 || need > 0 && got < need+systemRoom {
			t.Fatalf("%d bytes for %d, %d and %d GiB", got, fleet, need, image)
		}
	})
}

// TestGlobs: a glob fits itself, and * anything.
func TestGlobs(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.StringMatching(`[a-z][a-z0-9-]{0,5}\.(large|[0-9]{0,2}xlarge)`).Draw(t, "name")
		cut := rapid.IntRange(0, len(name)).Draw(t, "cut")
		for _, glob := range []string{name, "*", name[:cut] + "*", "*" + name[cut:]} {
			if !matches([]string{"nothing", glob}, name) {
				t.Fatalf("%q does not match %q", glob, name)
			}
		}
		if matches(nil, name) || matches([]string{name + "?"}, name) {
			t.Fatalf("%q is matched by what it should not be", name)
		}
	})
}

// FuzzConfig: no config breaks the reader, and what it accepts is whole.
func FuzzConfig(f *testing.F) {
	f.Add([]byte(`{"region": "us-east-1", "disk": [{"size": "1GiB"}]}`))
	f.Add([]byte(`{"region": "us-east-1", "launch_template": [{"name": "n"}], "assume_role": [{"arn": "arn:aws:iam::111122223333:role/r"}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, faults := readConfig(data)
		if len(faults) == 0 && (c.Region == "" || c.disk().bytes <= 0 || c.disk().bytes > maxVolume || !slices.Contains(spotStrategies, c.SpotAllocation)) {
			t.Errorf("accepted: %+v", c)
		}
	})
}
