package terraformtest

import (
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/zclconf/go-cty/cty"

	"github.com/spotrelay/spotrelay/providers"
	"github.com/spotrelay/spotrelay/providers/aws"
	"github.com/spotrelay/spotrelay/providers/aws/ec2test"
	"github.com/spotrelay/spotrelay/providers/gcp"
	"github.com/spotrelay/spotrelay/providers/gcp/computetest"
	"github.com/spotrelay/spotrelay/providers/providertest"
	"github.com/spotrelay/spotrelay/runner/jobspec"
)

// fleetText is the fleet file that an evaluation writes.
func fleetText(t testing.TB, e *evaluation, output string) string {
	t.Helper()
	value, err := e.named("output", output)
	if err != nil {
		t.Fatal(err)
	}
	return value.AsString()
}

// onEC2 evaluates the module for AWS, such that what it makes are the things
// that the server has.
func onEC2(t testing.TB, s *ec2test.Server, given map[string]cty.Value) *evaluation {
	t.Helper()
	e := evaluate(t, parseModule(t, "aws"), given)
	id := func(text string) cty.Value {
		return cty.ObjectVal(map[string]cty.Value{"id": cty.StringVal(text)})
	}
	for _, zone := range []string{"us-east-1a", "us-east-1b", "us-east-1c"} {
		e.overrides[`aws_subnet.instances["`+zone+`"]`] = id(s.Subnet(zone))
	}
	e.overrides["aws_security_group.instances"] = id(s.SecurityGroup())
	e.overrides["aws_launch_template.instances"] = id(s.PutTemplate(e.variables["name"].AsString() + "-instances"))
	return e
}

// onCompute evaluates the module for Google Cloud likewise: the fake has a
// subnetwork in each region and takes any service account.
func onCompute(t testing.TB, given map[string]cty.Value) *evaluation {
	t.Helper()
	all := map[string]cty.Value{
		"project": cty.StringVal("spotrelay-test"), "region": cty.StringVal("us-central1"),
		"subnetwork": cty.StringVal("projects/spotrelay-test/regions/us-central1/subnetworks/default"),
	}
	for name, value := range given {
		all[name] = value
	}
	return evaluate(t, parseModule(t, "gcp"), all)
}

// testProvider is a cloud's provider in this process, with a cache of the test's.
func testProvider(t testing.TB, cloud string) providers.Provider {
	t.Helper()
	if cloud == "aws" {
		return aws.New(aws.Options{CacheDir: t.TempDir(), Log: slog.New(slog.DiscardHandler)})
	}
	const quick = 10000
	return gcp.New(gcp.Options{
		CacheDir: t.TempDir(), Pace: 50 * time.Millisecond,
		Rates: gcp.Rates{Read: quick, List: quick, Mutate: quick, Operation: quick, Serial: quick},
	})
}

// decode has the job file's own decoder read a fleet file, against the
// provider's schema.
func decode(t testing.TB, cloud, text string) *jobspec.File {
	t.Helper()
	dir := t.TempDir()
	for name, content := range map[string]string{
		"fleet.json": text,
		"job.hcl":    "job \"j\" {\n  task \"t\" {\n    command = [\"true\"]\n  }\n}\n\nfleet \"f\" {\n  from = \"fleet.json\"\n}\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	provider := testProvider(t, cloud)
	file, diagnostics := jobspec.Load(jobspec.Options{
		Files:    []string{filepath.Join(dir, "job.hcl")},
		Describe: func(string) (providers.Description, error) { return provider.Describe(t.Context()) },
	})
	if diagnostics.HasErrors() {
		t.Fatalf("%v\n%s", diagnostics, text)
	}
	return file
}

// TestFleetFilesDecode: what the modules write, with all that can be set, is what
// the job file's decoder and the provider read.
func TestFleetFilesDecode(t *testing.T) {
	list := func(texts ...string) cty.Value {
		var all []cty.Value
		for _, text := range texts {
			all = append(all, cty.StringVal(text))
		}
		return cty.TupleVal(all)
	}
	everySetting := map[string]map[string]cty.Value{
		"aws": {
			"image": cty.StringVal("debian-12"), "instance_types": list("m5.large"), "exclude_types": list("*.metal*"), "max_price": cty.NumberFloatVal(0.5),
			"max_instances": cty.NumberIntVal(7), "disk": cty.ObjectVal(map[string]cty.Value{"size": cty.StringVal("50GiB")}),
			"tags": cty.ObjectVal(map[string]cty.Value{"cost-centre": cty.StringVal("research")}), "gangs": cty.ObjectVal(map[string]cty.Value{"zone": cty.StringVal("us-east-1a")}),
		},
		"gcp": {
			"image": cty.StringVal("debian-12"), "image_arm64": cty.StringVal("debian-12"), "machine_types": list("n2-*"), "exclude_machine_types": list("e2-*"),
			"zones": list("us-central1-a"), "disk": cty.ObjectVal(map[string]cty.Value{"size": cty.StringVal("50GiB"), "type": cty.StringVal("pd-ssd")}),
			"preemption_notice": cty.StringVal("120s"),
		},
	}
	for _, cloud := range clouds {
		for _, given := range []map[string]cty.Value{nil, everySetting[cloud]} {
			var e *evaluation
			if cloud == "aws" {
				e = onEC2(t, ec2test.Start(t, ec2test.Options{}), given)
			} else {
				e = onCompute(t, given)
			}
			file := decode(t, cloud, fleetText(t, e, "fleet_file"))
			bucket, err := e.named("output", "bucket")
			if err != nil {
				t.Fatal(err)
			}
			if file.Bucket != bucket.AsString() || len(file.Spec.Fleets) != 1 || file.Spec.Fleets[0].Provider != cloud {
				t.Errorf("%s: %q, %+v", cloud, file.Bucket, file.Spec.Fleets)
			}
			var config map[string]any
			if err := json.Unmarshal(file.Spec.Fleets[0].Config, &config); err != nil {
				t.Fatal(err)
			}
			for name := range given {
				if slices.Contains([]string{"disk", "tags", "gangs"}, name) {
					continue // they have another form there
				}
				if config[name] == nil {
					t.Errorf("%s: %s is lost on the way: %v", cloud, name, config)
				}
			}
			if gangs, err := e.named("output", "gang_fleet_file"); err == nil && !gangs.IsNull() {
				decode(t, cloud, gangs.AsString())
			}
		}
	}
}

// TestConformanceByFleetFile holds each provider to the contract with the fleet
// file of its module, by itself. On Google Cloud the controller's roles are all
// that it is permitted; on AWS all that is called is among what the code was read
// to call, so the reading is not blind. What the suite leaves out here
// (instances of somebody else, pages, partial launches) is in the providers' own
// tests.
func TestConformanceByFleetFile(t *testing.T) {
	t.Run("aws", func(t *testing.T) {
		s := ec2test.Start(t, ec2test.Options{Boot: 20 * time.Millisecond, Ending: 20 * time.Millisecond})
		for _, variable := range s.Environment() {
			name, text, _ := strings.Cut(variable, "=")
			t.Setenv(name, text)
		}
		e := onEC2(t, s, map[string]cty.Value{"instance_types": cty.TupleVal([]cty.Value{cty.StringVal("m5.large"), cty.StringVal("c5.large")})})
		conform(t, "aws", fleetText(t, e, "fleet_file"))
		read := callsOf(t).all(awsProvider)
		called := map[string]bool{}
		for _, call := range s.Calls("") {
			operation := call.Service + ":" + call.Operation
			if !called[operation] && !slices.Contains(read, operation) {
				t.Errorf("%s is called, and was not found in the code", operation)
			}
			called[operation] = true
		}
		t.Logf("%d of %d operations were called", len(called), len(read))
		checkMarks(t, s)
	})
	t.Run("gcp", func(t *testing.T) {
		s := computetest.Start(t, computetest.Options{Anonymous: true, SoftOff: 200 * time.Millisecond})
		t.Setenv("CLOUDSDK_API_ENDPOINT_OVERRIDES_COMPUTE", s.URL)
		t.Setenv("CLOUDSDK_API_ENDPOINT_OVERRIDES_CLOUDBILLING", s.URL)
		e := onCompute(t, nil)
		allowed := roles(t, e, "look", "rent", "network", "act")
		s.Permit(allowed...)
		conform(t, "gcp", fleetText(t, e, "fleet_file"))
		used := s.UsedPermissions()
		for _, permission := range used {
			if !slices.Contains(allowed, permission) {
				t.Errorf("%s is used, and not allowed", permission)
			}
		}
		t.Logf("%d of %d permissions were used: %q", len(used), len(allowed), used)
	})
}

// conform runs the conformance suite in the fleet that a fleet file is of.
func conform(t *testing.T, cloud, text string) {
	t.Helper()
	file := decode(t, cloud, text)
	provider := testProvider(t, cloud)
	fleet := providers.Fleet{Name: "f", Config: file.Spec.Fleets[0].Config}
	faults, err := provider.Check(t.Context(), fleet)
	if err != nil {
		t.Fatal(err)
	}
	for _, fault := range faults {
		if fault.Severity == providers.SeverityError {
			t.Errorf("check: %+v", fault)
		}
	}
	program := providers.AgentProgram{Key: "agents/x/agent", SHA256: strings.Repeat("0", 64)}
	providertest.Run(t, providertest.Options{
		New: func(providertest.T) providers.Provider { return provider }, Fleet: fleet, Wait: 2 * time.Minute,
		Bootstrap: providers.Bootstrap{
			Bucket: file.Bucket, Agents: map[string]providers.AgentProgram{"linux-amd64": program, "linux-arm64": program},
			Environment: map[string]string{"SPOTRELAY_AGENT_CONFIG": "{}"},
		},
	})
}

// checkMarks wants all that was made, also on trial, to bear the tags that the
// controller's policy asks for (LaunchMarked, OnlyOurs).
func checkMarks(t testing.TB, s *ec2test.Server) {
	t.Helper()
	seen := 0
	for operation, kinds := range map[string][]string{
		"CreateFleet": {"fleet", "instance", "volume"}, "CreateLaunchTemplate": {"launch-template"}, "RunInstances": {"instance", "volume"},
	} {
		for _, call := range s.Calls(operation) {
			seen++
			marked := map[string]bool{}
			for _, spec := range call.Input.Structs("TagSpecifications") {
				tags := map[string]string{}
				for _, tag := range spec.Structs("Tags") {
					tags[tag.String("Key")] = tag.String("Value")
				}
				marked[spec.String("ResourceType")] = tags["relay-fleet"] == "spotrelay" && tags[providers.TagBucket] != ""
			}
			for _, kind := range kinds {
				if !marked[kind] {
					t.Errorf("%s makes a %s that the policy does not allow: %v", operation, kind, call.Input["TagSpecifications"])
				}
			}
		}
	}
	for _, i := range s.Instances() {
		if i.Tags["relay-fleet"] != "spotrelay" || i.Tags[providers.TagBucket] == "" {
			t.Errorf("%s could not be ended: %v", i.ID, i.Tags)
		}
	}
	if seen == 0 {
		t.Error("nothing was launched")
	}
}
