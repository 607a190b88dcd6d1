package jobspec

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/spotrelay/spotrelay/providers"
)

// TestReference keeps docs/job-file.md equal to the schema.
func TestReference(t *testing.T) {
	path := filepath.Join("..", "..", "docs", "job-file.md")
	got := Reference()
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(want, got) {
		t.Errorf("docs/job-file.md is not what the schema says; run go generate ./runner/jobspec (-want +got):\n%s", cmp.Diff(string(want), string(got)))
	}
}

// eachSchema calls visit for every block of the language, objects included.
func eachSchema(visit func(*blockSchema)) {
	seen := map[*blockSchema]bool{}
	var walk func(*blockSchema)
	walk = func(schema *blockSchema) {
		if seen[schema] {
			return
		}
		seen[schema] = true
		visit(schema)
		for _, block := range schema.blocks {
			walk(block)
		}
		for _, attribute := range schema.attributes {
			if attribute.object != nil {
				walk(attribute.object)
			}
		}
	}
	walk(language)
}

// TestSchema holds the declarations to their own rules: all are described,
// defaults and examples are expressions, and the reference has every word.
func TestSchema(t *testing.T) {
	reference := string(Reference())
	eachSchema(func(schema *blockSchema) {
		if schema.description == "" {
			t.Errorf("%s has no description", schema.name)
		}
		for _, attribute := range schema.attributes {
			where := schema.name + "." + attribute.name
			if attribute.description == "" || attribute.example == "" {
				t.Errorf("%s lacks a description or an example", where)
			}
			if attribute.required && attribute.def != "" {
				t.Errorf("%s is required and has a default", where)
			}
			if attribute.def != "" {
				defaultValue(&attribute)
			}
			if _, diags := hclsyntax.ParseExpression([]byte(attribute.example), where, hcl.InitialPos); diags.HasErrors() {
				t.Errorf("the example of %s: %v", where, diags)
			}
			if !strings.Contains(reference, "| `"+attribute.name+"` |") {
				t.Errorf("%s is not in the reference", where)
			}
			if isLater(attribute.name) {
				t.Errorf("%s is also a word of a later release", where)
			}
		}
	})
}

// TestReferenceExamples reads the reference's examples: they are job files, or
// parts that a job file makes whole.
func TestReferenceExamples(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := os.MkdirAll("fleets", 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile("fleets/aws-use1.json", []byte(`{"version": 1, "provider": "aws", "config": {}}`), 0o644); err != nil {
		t.Fatal(err)
	}
	examples := regexp.MustCompile("(?s)```hcl\n(.*?)```").FindAllStringSubmatch(string(Reference()), -1)
	if len(examples) < 10 {
		t.Fatalf("%d examples", len(examples))
	}
	for _, example := range examples {
		text := example[1]
		switch word := regexp.MustCompile(`^\w+`).FindString(text); word {
		case "job", "variable", "locals", "fleet", "provider":
			if !strings.Contains(text, "job \"") {
				text += "\njob \"j\" {\n task \"t\" { command = [\"x\"] }\n}\n"
			}
		case "input":
			text = "job \"j\" {\n" + text + "\n}\n"
		case "workdir", "timing":
			text = "job \"j\" {\n task \"t\" { command = [\"x\"] }\n" + text + "\n}\n"
		case "cache":
			text = "job \"j\" {\n workdir {}\n task \"t\" {\n command = [\"x\"]\n" + text + "\n}\n}\n"
		case "task":
			text = "job \"j\" {\n" + text + "\n}\n"
		default:
			text = "job \"j\" {\n task \"t\" {\n command = [\"x\"]\n" + text + "\n}\n}\n"
		}
		text = strings.Replace(text, `"aws-use1", "gcp-usc1"`, `"local"`, 1)
		text = strings.Replace(text, `locals {`, "variable \"epochs\" { default = 1 }\nlocals {", 1)
		_, diagnostics := Load(Options{Files: []string{"-"}, Stdin: []byte(text)})
		if diagnostics.HasErrors() {
			t.Errorf("%s\n%s", text, places(diagnostics))
		}
	}
}

// TestProviderReference holds the reference of a provider to a golden file.
func TestProviderReference(t *testing.T) {
	description, err := describeTest("test")
	if err != nil {
		t.Fatal(err)
	}
	got := ProviderReference(description)
	path := filepath.Join("testdata", "provider_reference.md")
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Error(diff)
	}
	if none := string(ProviderReference(providers.Description{Name: "none"})); !strings.Contains(none, "It has none.") {
		t.Error(none)
	}
}
