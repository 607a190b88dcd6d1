package gcp

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/spotrelay/spotrelay/providers"
)

// plain is a config block that nothing is wrong with; more change it, nil takes
// an attribute away.
func plain(more map[string]any) json.RawMessage {
	block := map[string]any{"project": "acme-batch", "region": "us-central1"}
	maps.Copy(block, more)
	maps.DeleteFunc(block, func(_ string, v any) bool { return v == nil })
	data, err := json.Marshal(block)
	if err != nil {
		panic(err)
	}
	return data
}

func TestConfigFaults(t *testing.T) {
	for path, more := range map[string]map[string]any{
		"":                        {"no_such": 1},
		"project":                 {"project": nil},
		"project ":                {"project": "Acme Batch"},
		"region":                  {"region": nil},
		"region ":                 {"region": "us-central1-a"},
		"zones.1":                 {"zones": []string{"us-central1-a", "us-east1-b"}},
		"zones.1 ":                {"zones": []string{"us-central1-a", "us-central1-a"}},
		"network":                 {"network": "My Net"},
		"subnetwork":              {"subnetwork": "projects/p/global/networks/n"},
		"image":                   {"image": "ubuntu"},
		"image_arm64":             {"image_arm64": "projects/p/images/i"},
		"service_account":         {"service_account": "batch"},
		"machine_types.0":         {"machine_types": []string{"n2-["}},
		"exclude_machine_types.0": {"exclude_machine_types": []string{""}},
		"disk_size":               {"disk_size": "large"},
		"disk_size ":              {"disk_size": "65TiB"},
		"network_tags.1":          {"network_tags": []string{"batch", "Batch"}},
		"preemption_notice":       {"preemption_notice": "60s"},
		"endpoint":                {"endpoint": "compute.googleapis.com"},
		"billing_endpoint":        {"billing_endpoint": "ftp://x"},
	} {
		_, faults := readConfig(plain(more))
		if len(faults) != 1 || strings.Join(faults[0].Path, ".") != strings.TrimSpace(path) {
			t.Errorf("%v: %+v; want one fault at %q", more, faults, path)
			continue
		}
		if faults[0].Severity != providers.SeverityError || faults[0].Summary == "" || faults[0].Detail == "" {
			t.Errorf("%v: %+v", more, faults[0])
		}
	}
	if _, faults := readConfig(plain(map[string]any{"project": "x", "region": "y", "disk_size": "z"})); len(faults) != 3 {
		t.Errorf("not all faults at once: %+v", faults)
	}
}

func TestConfigDefaults(t *testing.T) {
	c, faults := readConfig(plain(nil))
	if len(faults) > 0 {
		t.Fatal(faults)
	}
	if c.Network != "default" || !c.externalIP || c.diskGB != 20 || c.notice != 0 || !slices.Equal(c.Scopes, []string{defaultScope}) {
		t.Errorf("%+v", c)
	}
	if got := c.images[archAMD64].String(); got != "projects/ubuntu-os-cloud/global/images/family/ubuntu-2404-lts-amd64" {
		t.Error(got)
	}
	if got := c.images[archARM64].String(); got != "projects/ubuntu-os-cloud/global/images/family/ubuntu-2404-lts-arm64" {
		t.Error(got)
	}
	own, _ := readConfig(plain(map[string]any{"image": "projects/p/global/images/i", "subnetwork": "s", "external_ip": false}))
	if _, ok := own.images[archARM64]; ok || own.Network != "" || own.externalIP {
		t.Errorf("an image of one's own says nothing of Arm: %+v", own)
	}
	for name, attribute := range schemaAttributes() {
		var v any
		if attribute.Default != nil && json.Unmarshal(attribute.Default, &v) == nil {
			if _, faults := readConfig(plain(map[string]any{name: v})); len(faults) > 0 {
				t.Errorf("the default of %s: %+v", name, faults)
			}
		}
	}
}

func schemaAttributes() map[string]providers.Attribute {
	all := map[string]providers.Attribute{}
	for _, a := range schema().Attributes {
		all[a.Name] = a
	}
	return all
}

// The examples in the reference can be used as they stand.
func TestSchemaExamples(t *testing.T) {
	for name, attribute := range schemaAttributes() {
		var v any
		if err := json.Unmarshal([]byte(attribute.Example), &v); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if _, faults := readConfig(plain(map[string]any{name: v})); len(faults) > 0 {
			t.Errorf("the example of %s: %+v", name, faults)
		}
	}
}

func TestEndpoints(t *testing.T) {
	t.Setenv("CLOUDSDK_API_ENDPOINT_OVERRIDES_COMPUTE", "https://compute.example/compute/v1/")
	c, faults := readConfig(plain(nil))
	if len(faults) > 0 || c.Endpoint != "https://compute.example" {
		t.Errorf("%q, %v", c.Endpoint, faults)
	}
	for address, want := range map[string]bool{
		"http://127.0.0.1:80": true, "http://localhost": true, "http://[::1]:1": true,
		"https://compute.googleapis.com": false, "http://127.0.0.1.example": false, "http://10.0.0.1": false, "": false,
	} {
		if loopback(address) != want {
			t.Errorf("%q on this machine: %v", address, !want)
		}
	}
}

func TestAllows(t *testing.T) {
	c, _ := readConfig(plain(map[string]any{"machine_types": []string{"n2-*", "e2-standard-[48]"}, "exclude_machine_types": []string{"*-highmem-*"}}))
	for name, want := range map[string]bool{"n2-standard-4": true, "n2-highmem-4": false, "e2-standard-4": true, "e2-standard-2": false, "n2d-standard-2": false} {
		if c.allows(name) != want {
			t.Errorf("%s is allowed: %v", name, !want)
		}
	}
}

func TestParseImage(t *testing.T) {
	for text, want := range map[string]string{
		"projects/p/global/images/family/f":                                "projects/p/global/images/family/f",
		"projects/example.com:p/global/images/i-1":                         "projects/example.com:p/global/images/i-1",
		"https://www.googleapis.com/compute/v1/projects/p/global/images/i": "projects/p/global/images/i",
		"debian-12": "projects/debian-cloud/global/images/family/debian-12-arm64",
		"debian":    "", "projects/p/global/images/": "", "projects/p/global/images/family/../x": "",
	} {
		got, ok := parseImage(text, archARM64)
		if ok != (want != "") || ok && got.String() != want {
			t.Errorf("%q: %s, %v", text, got, ok)
		}
	}
}
