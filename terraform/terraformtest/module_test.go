package terraformtest

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/ext/typeexpr"
	"github.com/hashicorp/hcl/v2/hclparse"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

// clouds that there is a module for.
var clouds = []string{"aws", "gcp"}

// repository is the root of it.
func repository() string {
	_, file, _, _ := runtime.Caller(0)
	return filepath.Dir(filepath.Dir(filepath.Dir(file)))
}

// module is a Terraform module as it is written.
type module struct {
	cloud     string
	dir       string
	variables map[string]*variable
	locals    map[string]hclsyntax.Expression
	resources map[string]*hclsyntax.Block // by "aws_vpc.fleet", "data.aws_region.current"
	outputs   map[string]hclsyntax.Expression
}

// variable of a module.
type variable struct {
	kind        cty.Type
	optional    *typeexpr.Defaults
	value       *cty.Value // the default; nil for none
	validations []rule
}

// rule is a validation, an assertion or a precondition.
type rule struct {
	condition, message hclsyntax.Expression
}

func parseModule(t testing.TB, cloud string) *module {
	t.Helper()
	m := &module{
		cloud: cloud, dir: filepath.Join(repository(), "terraform", cloud), variables: map[string]*variable{},
		locals: map[string]hclsyntax.Expression{}, resources: map[string]*hclsyntax.Block{}, outputs: map[string]hclsyntax.Expression{},
	}
	files, err := filepath.Glob(filepath.Join(m.dir, "*.tf"))
	if err != nil || len(files) == 0 {
		t.Fatalf("%s has no module: %v", m.dir, err)
	}
	for _, file := range files {
		for _, block := range parseFile(t, file).Blocks {
			m.add(t, block)
		}
	}
	return m
}

func parseFile(t testing.TB, file string) *hclsyntax.Body {
	t.Helper()
	parsed, diags := hclparse.NewParser().ParseHCLFile(file)
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	return parsed.Body.(*hclsyntax.Body)
}

func (m *module) add(t testing.TB, block *hclsyntax.Block) {
	t.Helper()
	switch block.Type {
	case "variable":
		m.variables[block.Labels[0]] = readVariable(t, block)
	case "locals":
		for name, attribute := range block.Body.Attributes {
			m.locals[name] = attribute.Expr
		}
	case "resource":
		m.resources[strings.Join(block.Labels, ".")] = block
	case "data":
		m.resources["data."+strings.Join(block.Labels, ".")] = block
	case "output":
		m.outputs[block.Labels[0]] = block.Body.Attributes["value"].Expr
	case "terraform":
	default:
		t.Fatalf("%s: this test does not know %s blocks", block.TypeRange, block.Type)
	}
}

func readVariable(t testing.TB, block *hclsyntax.Block) *variable {
	t.Helper()
	v := &variable{kind: cty.DynamicPseudoType}
	if attribute := block.Body.Attributes["type"]; attribute != nil {
		kind, optional, diags := typeexpr.TypeConstraintWithDefaults(attribute.Expr)
		if diags.HasErrors() {
			t.Fatal(diags)
		}
		v.kind, v.optional = kind, optional
	}
	if attribute := block.Body.Attributes["default"]; attribute != nil {
		value, diags := attribute.Expr.Value(nil)
		if diags.HasErrors() {
			t.Fatal(diags)
		}
		v.value = &value
	}
	for _, nested := range block.Body.Blocks {
		v.validations = append(v.validations, readRule(nested))
	}
	return v
}

func readRule(block *hclsyntax.Block) rule {
	return rule{block.Body.Attributes["condition"].Expr, block.Body.Attributes["error_message"].Expr}
}

// mocks are the values that a cloud would choose, by "aws_vpc" and
// "data.aws_region", as the modules' tests have them.
type mocks map[string]map[string]cty.Value

func readMocks(t testing.TB, m *module) mocks {
	t.Helper()
	found := mocks{}
	files, err := filepath.Glob(filepath.Join(m.dir, "tests", "mocks", "*.tfmock.hcl"))
	if err != nil || len(files) == 0 {
		t.Fatalf("the module %s has no mocks: %v", m.cloud, err)
	}
	for _, file := range files {
		for _, block := range parseFile(t, file).Blocks {
			defaults, diags := block.Body.Attributes["defaults"].Expr.Value(nil)
			if diags.HasErrors() {
				t.Fatal(diags)
			}
			name := block.Labels[0]
			if block.Type == "mock_data" {
				name = "data." + name
			}
			found[name] = defaults.AsValueMap()
		}
	}
	return found
}

// describe is a place in a file, for messages.
func describe(r hcl.Range) string {
	if name, err := filepath.Rel(repository(), r.Filename); err == nil {
		r.Filename = name
	}
	return r.String()
}

func read(t testing.TB, path ...string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(append([]string{repository()}, path...)...))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
