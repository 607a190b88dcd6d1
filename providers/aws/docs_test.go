package aws

import (
	"flag"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/spotrelay/spotrelay/runner/jobspec"
)

var update = flag.Bool("update", false, "write the reference in docs/aws.md anew")

const (
	page           = "../../docs/aws.md"
	referenceBegin = "<!-- the reference, written by: go test ./providers/aws -run TestDocs -update -->\n"
	referenceEnd   = "<!-- the end of the reference -->\n"
)

// TestDocs keeps the page's reference equal to the schema.
func TestDocs(t *testing.T) {
	data, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, found := strings.Cut(string(data), referenceBegin)
	_, after, ended := strings.Cut(rest, referenceEnd)
	if !found || !ended {
		t.Fatalf("%s has no place for the reference", page)
	}
	description, err := New(Options{CacheDir: t.TempDir()}).Describe(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	reference := strings.TrimPrefix(string(jobspec.ProviderReference(description)), "# The config of provider aws\n\n")
	want := before + referenceBegin + "\n" + strings.ReplaceAll(reference, "\n## ", "\n### ") + "\n" + referenceEnd + after
	if *update {
		if err := os.WriteFile(page, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if want != string(data) {
		t.Errorf("%s is not what the schema says; run go test ./providers/aws -run TestDocs -update", page)
	}
}

// TestPolicyIsWhole: every action that doc.go says is called is allowed by the
// page's policy, and every alias is on the page.
func TestPolicyIsWhole(t *testing.T) {
	docs, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	code, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	calls := regexp.MustCompile(`(?m)^//\t([a-z0-9]+:[A-Za-z]+)`).FindAllStringSubmatch(string(code), -1)
	if len(calls) < 20 {
		t.Fatalf("doc.go names %d calls", len(calls))
	}
	named := map[string]bool{"ec2:RunInstances": true, "ec2:CreateFleet": true}
	for _, call := range calls {
		named[call[1]] = true
		if action := `"` + call[1] + `"`; !strings.Contains(string(docs), action) && call[1] != "sts:GetCallerIdentity" { // anybody may ask that
			t.Errorf("the policy in %s lacks %s", page, action)
		}
	}
	for api := range buckets {
		if !named[api] {
			t.Errorf("doc.go does not name %s", api)
		}
	}
	for _, alias := range keysOf(aliases) {
		if !strings.Contains(string(docs), "`"+alias+"`") {
			t.Errorf("%s does not name the image %s", page, alias)
		}
	}
}
