package terraformtest

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/zclconf/go-cty/cty"
)

// policy is an IAM policy of AWS's.
type policy struct {
	Version   string
	Statement []statement
}

type statement struct {
	Sid, Effect      string
	Action, Resource texts
	Condition        map[string]map[string]texts
}

// texts is one text or several.
type texts []string

// UnmarshalJSON reads either.
func (s *texts) UnmarshalJSON(data []byte) error {
	var one string
	if err := json.Unmarshal(data, &one); err == nil {
		*s = texts{one}
		return nil
	}
	return json.Unmarshal(data, (*[]string)(s))
}

// actions that are allowed, sorted.
func (p policy) actions() []string {
	found := map[string]bool{}
	for _, s := range p.Statement {
		for _, action := range s.Action {
			found[action] = true
		}
	}
	return slices.Sorted(maps.Keys(found))
}

// policyOf reads the policy of a resource.
func policyOf(t testing.TB, e *evaluation, key string) policy {
	t.Helper()
	value, err := e.resource(key)
	if err != nil {
		t.Fatal(err)
	}
	var p policy
	if err := json.Unmarshal([]byte(value.GetAttr("policy").AsString()), &p); err != nil {
		t.Fatalf("%s: %v", key, err)
	}
	for _, s := range p.Statement {
		if s.Effect != "Allow" || len(s.Action) == 0 || len(s.Resource) == 0 {
			t.Errorf("%s: a statement that this test does not know: %+v", key, s)
		}
	}
	return p
}

// side is what one of the two sides may do, and what it does.
type side struct {
	name            string
	called, allowed []string
	needs           needs
}

// sides of both clouds, in the given settings of the modules.
func sides(t testing.TB) []side {
	t.Helper()
	code := callsOf(t)
	plain, withKey := needs(awsNeeds), awsNeeds.with(kmsNeeds)
	aws := parseModule(t, "aws")
	var all []side
	for name, key := range map[string]bool{"": false, ", with a key": true} {
		e := evaluate(t, aws, map[string]cty.Value{"create_kms_key": cty.BoolVal(key)})
		table := plain
		if key {
			table = withKey
		}
		all = append(all,
			side{"AWS controller" + name, code.all(awsProvider, s3Bucket), policyOf(t, e, "aws_iam_policy.controller").actions(), table},
			side{"AWS instances" + name, code.all(s3Bucket), policyOf(t, e, "aws_iam_role_policy.instances").actions(), table})
	}
	google := parseModule(t, "gcp")
	given := map[string]cty.Value{"project": cty.StringVal("acme-batch"), "region": cty.StringVal("us-central1")}
	e := evaluate(t, google, given)
	all = append(all,
		side{"Google controller", code.all(gcpProvider, gcsBucket), roles(t, e, "look", "rent", "network", "act", "bucket"), gcpNeeds},
		side{"Google instances", append(code.all(gcsBucket), "compute.instances.delete"), roles(t, e, "leave", "bucket"), gcpNeeds})
	slices.SortFunc(all, func(a, b side) int { return strings.Compare(a.name, b.name) })
	return all
}

// roles are the permissions of custom roles, together.
func roles(t testing.TB, e *evaluation, names ...string) []string {
	t.Helper()
	found := map[string]bool{}
	for _, name := range names {
		for address, role := range e.instances(t, "google_project_iam_custom_role") {
			if address != "google_project_iam_custom_role."+name && !strings.HasPrefix(address, "google_project_iam_custom_role."+name+"[") {
				continue
			}
			for it := role.GetAttr("permissions").ElementIterator(); it.Next(); {
				_, permission := it.Element()
				found[permission.AsString()] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(found))
}

// TestPolicies: every call is allowed, and every allowed one is made.
func TestPolicies(t *testing.T) {
	for _, s := range sides(t) {
		for _, difference := range s.needs.compare(s.called, s.allowed) {
			t.Errorf("%s: %s", s.name, difference)
		}
		t.Logf("%s: %d operations, %d permissions: %q", s.name, len(s.called), len(s.allowed), s.allowed)
	}
}

// TestPoliciesNotice: the comparison names each permission that is taken away,
// one that is added, each operation that is no longer called and has a
// permission of its own, and one that is called anew.
func TestPoliciesNotice(t *testing.T) {
	without := func(list []string, one string) []string {
		return slices.DeleteFunc(slices.Clone(list), func(other string) bool { return other == one })
	}
	noticed := 0
	for _, s := range sides(t) {
		names := func(what, name string, differences []string) {
			t.Helper()
			if len(differences) == 0 || !strings.Contains(strings.Join(differences, "\n"), name) {
				t.Errorf("%s: %s %s is not noticed: %q", s.name, what, name, differences)
			}
			noticed++
		}
		for _, permission := range s.allowed {
			names("without the permission", permission, s.needs.compare(s.called, without(s.allowed, permission)))
		}
		names("the added permission", "ec2:CreateVpc", s.needs.compare(s.called, append(slices.Clone(s.allowed), "ec2:CreateVpc")))
		names("the added operation", "ec2:CreateVpc", s.needs.compare(append(slices.Clone(s.called), "ec2:CreateVpc"), s.allowed))
		for _, operation := range s.called {
			for _, permission := range s.needs[operation] {
				if s.only(operation, permission) {
					names("without the operation "+operation+" the permission", permission, s.needs.compare(without(s.called, operation), s.allowed))
				}
			}
		}
	}
	t.Logf("%d changes, each named", noticed)
}

// only reports whether no other operation needs a permission.
func (s side) only(operation, permission string) bool {
	return !slices.ContainsFunc(s.called, func(other string) bool { return other != operation && slices.Contains(s.needs[other], permission) })
}

// anywhere are the actions that IAM cannot bind to a resource ("Actions,
// resources, and condition keys": an empty column of resource types).
func anywhere(action string) bool {
	return strings.HasPrefix(action, "ec2:Describe") || action == "pricing:GetProducts" || action == "servicequotas:ListServiceQuotas"
}

// TestPolicyIsNarrow: what can be bound to a resource is; what makes, changes or
// ends anything in EC2 is bound to the fleet's tag, or to what a launch is made
// of; and the policy is not larger than IAM takes.
func TestPolicyIsNarrow(t *testing.T) {
	e := evaluate(t, parseModule(t, "aws"), map[string]cty.Value{"create_kms_key": cty.True, "gangs": cty.ObjectVal(map[string]cty.Value{"zone": cty.StringVal("us-east-1a")})})
	p := policyOf(t, e, "aws_iam_policy.controller")
	for _, s := range p.Statement {
		for _, action := range s.Action {
			if strings.Contains(action, "*") {
				t.Errorf("%s: %s is no single action", s.Sid, action)
			}
			if slices.Contains(s.Resource, "*") != anywhere(action) {
				t.Errorf("%s: %s is allowed on %q", s.Sid, action, s.Resource)
			}
			if strings.HasPrefix(action, "ec2:") && !anywhere(action) && s.Sid != "LaunchFrom" && !s.bound() {
				t.Errorf("%s: %s is not bound to the fleet's tag: %v", s.Sid, action, s.Condition)
			}
		}
	}
	for _, name := range []string{"aws_iam_policy.controller", "aws_iam_role_policy.instances"} {
		value, err := e.resource(name)
		if err != nil {
			t.Fatal(err)
		}
		// "IAM and AWS STS quotas": 6,144 characters of a managed policy.
		if size := len(value.GetAttr("policy").AsString()); size > 6144 {
			t.Errorf("%s has %d characters", name, size)
		} else {
			t.Logf("%s has %d of 6144 characters", name, size)
		}
	}
	for _, s := range policyOf(t, e, "aws_iam_role_policy.instances").Statement {
		for _, action := range s.Action {
			if strings.HasPrefix(action, "ec2:") || slices.Contains(s.Resource, "*") {
				t.Errorf("instances may %s on %q", action, s.Resource)
			}
		}
	}
}

// bound reports whether a statement asks for the fleet's tag.
func (s statement) bound() bool {
	for _, key := range []string{"aws:ResourceTag/relay-fleet", "aws:RequestTag/relay-fleet"} {
		if slices.Equal(s.Condition["StringEquals"][key], texts{"spotrelay"}) {
			return true
		}
	}
	return false
}

// TestBucketIsNarrow: both sides are kept to the fleet's prefix.
func TestBucketIsNarrow(t *testing.T) {
	e := evaluate(t, parseModule(t, "aws"), map[string]cty.Value{"prefix": cty.StringVal("runs/a"), "bucket_name": cty.StringVal("acme-batch")})
	for _, name := range []string{"aws_iam_policy.controller", "aws_iam_role_policy.instances"} {
		for _, s := range policyOf(t, e, name).Statement {
			if !strings.HasPrefix(s.Action[0], "s3:") {
				continue
			}
			listing := slices.Equal(s.Action, texts{"s3:ListBucket"}) && slices.Equal(s.Resource, texts{"arn:aws:s3:::acme-batch"}) &&
				slices.Equal(s.Condition["StringLike"]["s3:prefix"], texts{"runs/a/*"})
			if !listing && !slices.Equal(s.Resource, texts{"arn:aws:s3:::acme-batch/runs/a/*"}) {
				t.Errorf("%s: %+v", name, s)
			}
		}
	}
	google := evaluate(t, parseModule(t, "gcp"), map[string]cty.Value{
		"project": cty.StringVal("acme-batch"), "region": cty.StringVal("us-central1"), "prefix": cty.StringVal("runs/a"), "bucket_name": cty.StringVal("acme-runs"),
	})
	want := `resource.name.startsWith("projects/_/buckets/acme-runs/objects/runs/a/") || ` +
		`api.getAttribute("storage.googleapis.com/objectListPrefix", "").startsWith("runs/a/")`
	for address, grant := range google.instances(t, "google_storage_bucket_iam_member") {
		if got := grant.GetAttr("condition").Index(cty.NumberIntVal(0)).GetAttr("expression").AsString(); got != want {
			t.Errorf("%s: %s", address, got)
		}
	}
	for address, grant := range google.instances(t, "google_project_iam_member") {
		conditions, has := grant.AsValueMap()["condition"]
		if strings.Contains(address, ".look[") {
			continue // it changes nothing
		}
		if !has || conditions.LengthInt() != 1 || !strings.Contains(conditions.Index(cty.NumberIntVal(0)).GetAttr("expression").AsString(), `startsWith("spotrelay-")`) {
			t.Errorf("%s is not bound to names", address)
		}
	}
	if n := len(google.instances(t, "google_project_iam_member")); n != 3 {
		t.Errorf("%d grants in the project", n)
	}
}

// TestPolicyInDocs: the policy that docs/aws.md gives for those who write it by
// hand has the same actions.
func TestPolicyInDocs(t *testing.T) {
	text := read(t, "docs", "aws.md")
	_, text, _ = strings.Cut(text, "```json\n")
	text, _, _ = strings.Cut(text, "```")
	var p policy
	if err := json.Unmarshal([]byte(text), &p); err != nil {
		t.Fatal(err)
	}
	for _, difference := range awsNeeds.compare(callsOf(t).all(awsProvider), p.actions()) {
		t.Errorf("docs/aws.md: %s", difference)
	}
}
