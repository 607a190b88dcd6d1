package terraformtest

import (
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/terraform-config-inspect/tfconfig"
	"github.com/zclconf/go-cty/cty"
)

// unbounded are variables that have nothing to validate: any value of their type
// means something.
var unbounded = []string{"write_fleet_file", "private", "destroy_bucket", "enable_apis", "create_kms_key", "instances_end_themselves", "name_condition"}

// TestVariablesAndOutputs: each has a description that is a sentence, each
// variable a type, and a validation unless it is a yes or no.
func TestVariablesAndOutputs(t *testing.T) {
	for _, cloud := range clouds {
		m := parseModule(t, cloud)
		inspected, diags := tfconfig.LoadModule(m.dir)
		if diags.HasErrors() {
			t.Fatal(diags)
		}
		sentence := func(kind, name, text string) {
			if text = strings.TrimSpace(text); !strings.HasSuffix(text, ".") || len(text) < 20 {
				t.Errorf("%s: the %s %s is described as %q", cloud, kind, name, text)
			}
		}
		for name, v := range inspected.Variables {
			sentence("variable", name, v.Description)
			if v.Type == "" {
				t.Errorf("%s: the variable %s has no type", cloud, name)
			}
			isBool := m.variables[name].kind == cty.Bool
			if slices.Contains(unbounded, name) && !isBool || !isBool && len(m.variables[name].validations) == 0 {
				t.Errorf("%s: the variable %s has no validation", cloud, name)
			}
		}
		for name, o := range inspected.Outputs {
			sentence("output", name, o.Description)
		}
		if len(inspected.RequiredCore) == 0 || len(inspected.RequiredProviders) != 2 {
			t.Errorf("%s: versions: %v, %v", cloud, inspected.RequiredCore, inspected.RequiredProviders)
		}
		for name, p := range inspected.RequiredProviders {
			if p.Source == "" || len(p.VersionConstraints) == 0 || !strings.Contains(p.VersionConstraints[0], "<") {
				t.Errorf("%s: the provider %s has no source, or no version that it ends at", cloud, name)
			}
		}
	}
}

// everything turns on all that the modules can make.
func everything(cloud string) map[string]cty.Value {
	program := map[string]cty.Value{"program": cty.StringVal("https://example.com/spotrelay.tar.gz"), "sha256": cty.StringVal(strings.Repeat("0", 64))}
	if cloud == "aws" {
		return map[string]cty.Value{
			"controller": cty.ObjectVal(program), "private": cty.True, "nat": cty.StringVal("zone"), "create_kms_key": cty.True,
			"access_logs": cty.EmptyObjectVal, "gangs": cty.ObjectVal(map[string]cty.Value{"zone": cty.StringVal("us-east-1a")}),
			"budget": cty.ObjectVal(map[string]cty.Value{"dollars": cty.NumberIntVal(5), "emails": cty.ListVal([]cty.Value{cty.StringVal("batch@acme.example")})}),
		}
	}
	return map[string]cty.Value{
		"project": cty.StringVal("acme-batch"), "region": cty.StringVal("us-central1"),
		"controller": cty.ObjectVal(program), "private": cty.True, "nat": cty.True, "create_kms_key": cty.True,
		"gangs": cty.ObjectVal(map[string]cty.Value{"zone": cty.StringVal("us-central1-a")}),
		"budget": cty.ObjectVal(map[string]cty.Value{
			"billing_account": cty.StringVal("000000-0A1B2C-3D4E5F"), "amount": cty.NumberIntVal(5), "emails": cty.ListVal([]cty.Value{cty.StringVal("batch@acme.example")}),
		}),
	}
}

// settings of a module that tests look at: by default, and with everything.
func settings(t testing.TB, cloud string) []*evaluation {
	t.Helper()
	m := parseModule(t, cloud)
	plain := everything(cloud)
	for name := range plain {
		if name != "project" && name != "region" {
			delete(plain, name)
		}
	}
	return []*evaluation{evaluate(t, m, plain), evaluate(t, m, everything(cloud))}
}

// TestNoWayIn: no rule lets anything in, but gangs each other.
func TestNoWayIn(t *testing.T) {
	for _, e := range settings(t, "aws") {
		for _, kind := range []string{"aws_security_group_rule", "aws_network_acl_rule", "aws_network_acl"} {
			if n := len(e.instances(t, kind)); n > 0 {
				t.Errorf("%d of %s: this test does not know them", n, kind)
			}
		}
		for _, kind := range []string{"aws_security_group", "aws_default_security_group"} {
			for address, group := range e.instances(t, kind) {
				if _, has := group.AsValueMap()["ingress"]; has {
					t.Errorf("%s has a way in", address)
				}
			}
		}
		for address, r := range e.instances(t, "aws_vpc_security_group_ingress_rule") {
			v := r.AsValueMap()
			_, from := v["cidr_ipv4"]
			if !strings.HasPrefix(address, "aws_vpc_security_group_ingress_rule.gangs") || from || !v["referenced_security_group_id"].RawEquals(v["security_group_id"]) {
				t.Errorf("%s is a way in: %#v", address, r)
			}
		}
	}
	for _, e := range settings(t, "gcp") {
		for address, rule := range e.instances(t, "google_compute_firewall") {
			v := rule.AsValueMap()
			_, from := v["source_ranges"]
			if address != "google_compute_firewall.gangs[cty.NumberIntVal(0)]" || from || !v["source_tags"].RawEquals(v["target_tags"]) {
				t.Errorf("%s is a way in: %#v", address, rule)
			}
		}
	}
}

// TestMetadataService: every launch template requires IMDSv2 with one hop, has
// what powers off terminated, and none asks for spot instances by itself.
func TestMetadataService(t *testing.T) {
	for _, e := range settings(t, "aws") {
		templates := e.instances(t, "aws_launch_template")
		for address, template := range templates {
			v := template.AsValueMap()
			options := v["metadata_options"].Index(cty.NumberIntVal(0)).AsValueMap()
			if options["http_tokens"].AsString() != "required" || !options["http_put_response_hop_limit"].RawEquals(cty.NumberIntVal(1)) || options["http_endpoint"].AsString() != "enabled" {
				t.Errorf("%s: %#v", address, options)
			}
			if v["instance_initiated_shutdown_behavior"].AsString() != "terminate" {
				t.Errorf("%s: what powers off is not terminated", address)
			}
			if _, spot := v["instance_market_options"]; spot {
				t.Errorf("%s asks for spot instances", address)
			}
		}
		t.Logf("%d launch templates", len(templates))
	}
}

// TestBuckets: encrypted, nobody else's, without versions, over TLS alone, and
// rid of uploads that were never finished; no rule removes objects of runs.
func TestBuckets(t *testing.T) {
	for _, e := range settings(t, "aws") {
		n := len(e.instances(t, "aws_s3_bucket"))
		for _, kind := range []string{"public_access_block", "server_side_encryption_configuration", "policy", "lifecycle_configuration", "ownership_controls"} {
			if found := len(e.instances(t, "aws_s3_bucket_"+kind)); found != n {
				t.Errorf("%d buckets, %d of %s", n, found, kind)
			}
		}
		for address, block := range e.instances(t, "aws_s3_bucket_public_access_block") {
			for _, name := range []string{"block_public_acls", "block_public_policy", "ignore_public_acls", "restrict_public_buckets"} {
				if !block.GetAttr(name).True() {
					t.Errorf("%s: %s", address, name)
				}
			}
		}
		for address, p := range e.instances(t, "aws_s3_bucket_policy") {
			if text := p.GetAttr("policy").AsString(); !strings.Contains(text, `"aws:SecureTransport":"false"`) || !strings.Contains(text, `"Effect":"Deny"`) {
				t.Errorf("%s: %s", address, text)
			}
		}
		for address, rules := range e.instances(t, "aws_s3_bucket_lifecycle_configuration") {
			rule := rules.GetAttr("rule").Index(cty.NumberIntVal(0)).AsValueMap()
			_, aborts := rule["abort_incomplete_multipart_upload"]
			if _, expires := rule["expiration"]; !aborts || expires != strings.Contains(address, ".logs[") {
				t.Errorf("%s: %#v", address, rule)
			}
		}
		for address, versions := range e.instances(t, "aws_s3_bucket_versioning") {
			if got := versions.GetAttr("versioning_configuration").Index(cty.NumberIntVal(0)).GetAttr("status").AsString(); got != "Disabled" {
				t.Errorf("%s: %s", address, got)
			}
		}
	}
	for _, e := range settings(t, "gcp") {
		for address, bucket := range e.instances(t, "google_storage_bucket") {
			v := bucket.AsValueMap()
			rules := v["lifecycle_rule"]
			kind := rules.Index(cty.NumberIntVal(0)).GetAttr("action").Index(cty.NumberIntVal(0)).GetAttr("type").AsString()
			if !v["uniform_bucket_level_access"].True() || v["public_access_prevention"].AsString() != "enforced" || rules.LengthInt() != 1 || kind != "AbortIncompleteMultipartUpload" ||
				v["versioning"].Index(cty.NumberIntVal(0)).GetAttr("enabled").True() {
				t.Errorf("%s: %#v", address, bucket)
			}
		}
	}
}

// costs are what is paid for while it is there, used or not.
var costs = []string{
	"aws_nat_gateway", "aws_eip", "aws_kms_key", "aws_autoscaling_group", "aws_instance", "aws_lb", "aws_vpc_endpoint_interface",
	"google_compute_router_nat", "google_kms_crypto_key", "google_compute_region_instance_group_manager", "google_compute_instance", "google_compute_address",
}

// TestIdleFleetCostsNothing: by default nothing is made that costs, but the
// bucket.
func TestIdleFleetCostsNothing(t *testing.T) {
	for _, cloud := range clouds {
		idle, full := settings(t, cloud)[0], settings(t, cloud)[1]
		found := 0
		for _, kind := range costs {
			if n := len(idle.instances(t, kind)); n > 0 {
				t.Errorf("%s: %d of %s by default", cloud, n, kind)
			}
			found += len(full.instances(t, kind))
		}
		if found == 0 {
			t.Errorf("%s: this test looks for what is never made", cloud)
		}
		for address, endpoint := range full.instances(t, "aws_vpc_endpoint") {
			if endpoint.GetAttr("vpc_endpoint_type").AsString() != "Gateway" {
				t.Errorf("%s costs by the hour", address)
			}
		}
	}
}
