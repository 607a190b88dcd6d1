package terraformtest

import (
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

// testRun is a run block of a module's terraform test files.
type testRun struct {
	name      string
	variables map[string]cty.Value
	asserts   []rule
	refused   []string // what must fail: var.name, aws_vpc.fleet
}

func readRuns(t testing.TB, m *module) []testRun {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(m.dir, "tests", "*.tftest.hcl"))
	if err != nil || len(files) == 0 {
		t.Fatalf("the module %s has no tests: %v", m.cloud, err)
	}
	var runs []testRun
	for _, file := range files {
		common := map[string]cty.Value{}
		for _, block := range parseFile(t, file).Blocks {
			switch block.Type {
			case "variables":
				common = plain(t, block)
			case "run":
				runs = append(runs, readRun(t, file, block, common))
			case "mock_provider":
			default:
				t.Fatalf("%s: this test does not know %s blocks", describe(block.TypeRange), block.Type)
			}
		}
	}
	return runs
}

func readRun(t testing.TB, file string, block *hclsyntax.Block, common map[string]cty.Value) testRun {
	t.Helper()
	run := testRun{name: strings.TrimSuffix(filepath.Base(file), ".tftest.hcl") + "/" + block.Labels[0], variables: maps.Clone(common)}
	for _, nested := range block.Body.Blocks {
		switch nested.Type {
		case "variables":
			maps.Copy(run.variables, plain(t, nested))
		case "assert":
			run.asserts = append(run.asserts, readRule(nested))
		}
	}
	if attribute := block.Body.Attributes["expect_failures"]; attribute != nil {
		list, diags := hcl.ExprList(attribute.Expr)
		if diags.HasErrors() {
			t.Fatal(diags)
		}
		for _, expr := range list {
			traversal, diags := hcl.AbsTraversalForExpr(expr)
			if diags.HasErrors() {
				t.Fatal(diags)
			}
			run.refused = append(run.refused, traversal.RootName()+"."+step(traversal, 1))
		}
	}
	return run
}

// plain are a block's attributes, which refer to nothing.
func plain(t testing.TB, block *hclsyntax.Block) map[string]cty.Value {
	t.Helper()
	values := map[string]cty.Value{}
	for name, attribute := range block.Body.Attributes {
		value, diags := attribute.Expr.Value(nil)
		if diags.HasErrors() {
			t.Fatal(diags)
		}
		values[name] = value
	}
	return values
}

// failures are the validations and preconditions that do not hold, by what they
// are of.
func (e *evaluation) failures() (map[string]string, error) {
	failed := map[string]string{}
	check := func(of string, rules []rule) error {
		for _, r := range rules {
			holds, err := e.value(r.condition, nil)
			if err != nil {
				return fmt.Errorf("%s: %w", of, err)
			}
			if holds.False() {
				message, err := e.value(r.message, nil)
				if err != nil {
					return err
				}
				failed[of] = message.AsString()
			}
		}
		return nil
	}
	for _, name := range slices.Sorted(maps.Keys(e.m.variables)) {
		if err := check("var."+name, e.m.variables[name].validations); err != nil {
			return nil, err
		}
	}
	if len(failed) > 0 {
		return failed, nil // the rest need not make sense
	}
	for key, block := range e.m.resources {
		made, err := e.resource(key)
		if err != nil {
			return nil, err
		}
		if made.Type().IsTupleType() && made.LengthInt() == 0 {
			continue
		}
		for _, nested := range block.Body.Blocks {
			if nested.Type != "lifecycle" {
				continue
			}
			for _, condition := range nested.Body.Blocks {
				if err := check(key, []rule{readRule(condition)}); err != nil {
					return nil, err
				}
			}
		}
	}
	return failed, nil
}

// TestRuns runs the modules' terraform test files without Terraform.
func TestRuns(t *testing.T) {
	for _, cloud := range clouds {
		m := parseModule(t, cloud)
		for _, run := range readRuns(t, m) {
			t.Run(cloud+"/"+run.name, func(t *testing.T) { run.check(t, evaluate(t, m, run.variables)) })
		}
	}
}

func (run testRun) check(t *testing.T, e *evaluation) {
	t.Helper()
	failed, err := e.failures()
	if err != nil {
		t.Fatal(err)
	}
	if got := slices.Sorted(maps.Keys(failed)); !slices.Equal(got, slices.Sorted(slices.Values(run.refused))) {
		t.Fatalf("%q are refused, not %q: %q", got, run.refused, failed)
	}
	for _, r := range run.asserts {
		holds, err := e.value(r.condition, nil)
		if err == nil && !holds.True() {
			message, _ := e.value(r.message, nil)
			err = errors.New(message.AsString())
		}
		if err != nil {
			t.Errorf("%s: %v", describe(r.condition.Range()), err)
		}
	}
}

// TestEveryValidationRefuses: each validation of a variable has a run that it
// alone refuses.
func TestEveryValidationRefuses(t *testing.T) {
	for _, cloud := range clouds {
		m := parseModule(t, cloud)
		refuse := map[hcl.Range]bool{}
		for _, run := range readRuns(t, m) {
			if len(run.refused) == 0 {
				continue
			}
			e := evaluate(t, m, run.variables)
			for _, v := range m.variables {
				for _, r := range v.validations {
					if holds, err := e.value(r.condition, nil); err == nil && holds.False() {
						refuse[r.condition.Range()] = true
					}
				}
			}
		}
		for name, v := range m.variables {
			for _, r := range v.validations {
				if !refuse[r.condition.Range()] {
					t.Errorf("%s: no run of the tests is refused by this validation of %s", describe(r.condition.Range()), name)
				}
			}
		}
	}
}
