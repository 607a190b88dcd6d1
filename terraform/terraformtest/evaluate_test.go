package terraformtest

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
)

// evaluation is a module with its variables: what Terraform would make, with the
// mocks' values where the cloud chooses. It evaluates what is asked for and what
// that needs.
type evaluation struct {
	m         *module
	variables map[string]cty.Value
	mocks     mocks
	overrides map[string]cty.Value // attributes by instance: aws_subnet.instances["us-east-1a"]
	known     map[string]cty.Value
	busy      map[string]bool
}

// evaluate starts an evaluation; variables that are missing have their defaults.
func evaluate(t testing.TB, m *module, given map[string]cty.Value) *evaluation {
	t.Helper()
	e := &evaluation{
		m: m, variables: map[string]cty.Value{}, mocks: readMocks(t, m), overrides: map[string]cty.Value{},
		known: map[string]cty.Value{}, busy: map[string]bool{},
	}
	for name := range given {
		if m.variables[name] == nil {
			t.Fatalf("the module %s has no variable %s", m.cloud, name)
		}
	}
	for name, v := range m.variables {
		value, isGiven := given[name]
		if !isGiven {
			if v.value == nil {
				t.Fatalf("the module %s needs the variable %s", m.cloud, name)
			}
			value = *v.value
		}
		if v.optional != nil && !value.IsNull() {
			value = v.optional.Apply(value)
		}
		converted, err := convert.Convert(value, v.kind)
		if err != nil {
			t.Fatalf("variable %s: %v", name, err)
		}
		e.variables[name] = converted
	}
	return e
}

// value of an expression; extra are names that are known where it stands.
func (e *evaluation) value(expr hclsyntax.Expression, extra map[string]cty.Value) (cty.Value, error) {
	scope := maps.Clone(extra)
	if scope == nil {
		scope = map[string]cty.Value{}
	}
	nested := map[string]map[string]cty.Value{}
	put := func(group, name string, value cty.Value) {
		if nested[group] == nil {
			nested[group] = map[string]cty.Value{}
		}
		nested[group][name] = value
	}
	data := map[string]map[string]cty.Value{}
	for _, traversal := range expr.Variables() {
		root := traversal.RootName()
		if _, known := extra[root]; known {
			continue
		}
		switch root {
		case "path":
			scope["path"] = cty.ObjectVal(map[string]cty.Value{"module": cty.StringVal(e.m.dir), "root": cty.StringVal("."), "cwd": cty.StringVal("/")})
			continue
		case "data":
			kind, name := step(traversal, 1), step(traversal, 2)
			value, err := e.resource("data." + kind + "." + name)
			if err != nil {
				return cty.NilVal, err
			}
			if data[kind] == nil {
				data[kind] = map[string]cty.Value{}
			}
			data[kind][name] = value
			continue
		}
		name := step(traversal, 1)
		value, err := e.named(root, name)
		if err != nil {
			return cty.NilVal, fmt.Errorf("%s: %w", describe(traversal.SourceRange()), err)
		}
		put(root, name, value)
	}
	for kind, values := range data {
		put("data", kind, cty.ObjectVal(values))
	}
	for group, values := range nested {
		scope[group] = cty.ObjectVal(values)
	}
	value, diags := expr.Value(&hcl.EvalContext{Variables: scope, Functions: functions(e.m.dir)})
	if diags.HasErrors() {
		return cty.NilVal, diags
	}
	return value, nil
}

func step(traversal hcl.Traversal, i int) string {
	if i < len(traversal) {
		if attribute, ok := traversal[i].(hcl.TraverseAttr); ok {
			return attribute.Name
		}
	}
	return ""
}

// named is a variable, local, output or resource.
func (e *evaluation) named(root, name string) (cty.Value, error) {
	switch root {
	case "var":
		if value, ok := e.variables[name]; ok {
			return value, nil
		}
		return cty.NilVal, fmt.Errorf("there is no variable %s", name)
	case "local":
		return e.once("local."+name, e.m.locals[name])
	case "output":
		return e.once("output."+name, e.m.outputs[name])
	}
	return e.resource(root + "." + name)
}

// once evaluates a local or an output.
func (e *evaluation) once(key string, expr hclsyntax.Expression) (cty.Value, error) {
	if expr == nil {
		return cty.NilVal, fmt.Errorf("there is no %s", key)
	}
	return e.remember(key, func() (cty.Value, error) { return e.value(expr, nil) })
}

func (e *evaluation) remember(key string, f func() (cty.Value, error)) (cty.Value, error) {
	if value, ok := e.known[key]; ok {
		return value, nil
	}
	if e.busy[key] {
		return cty.NilVal, fmt.Errorf("%s needs itself", key)
	}
	e.busy[key] = true
	defer delete(e.busy, key)
	value, err := f()
	if err == nil {
		e.known[key] = value
	}
	return value, err
}

// resource is a resource or data source: an object, with count a tuple of them,
// with for_each an object of them.
func (e *evaluation) resource(key string) (cty.Value, error) {
	block := e.m.resources[key]
	if block == nil {
		return cty.NilVal, fmt.Errorf("there is no %s", key)
	}
	return e.remember(key, func() (cty.Value, error) {
		if attribute := block.Body.Attributes["count"]; attribute != nil {
			return e.counted(key, block, attribute.Expr)
		}
		if attribute := block.Body.Attributes["for_each"]; attribute != nil {
			return e.forEach(key, block, attribute.Expr)
		}
		return e.instance(key, key, block, nil)
	})
}

func (e *evaluation) counted(key string, block *hclsyntax.Block, expr hclsyntax.Expression) (cty.Value, error) {
	count, err := e.value(expr, nil)
	if err != nil {
		return cty.NilVal, err
	}
	n, _ := count.AsBigFloat().Int64()
	all := []cty.Value{}
	for i := range n {
		extra := map[string]cty.Value{"count": cty.ObjectVal(map[string]cty.Value{"index": cty.NumberIntVal(i)})}
		one, err := e.instance(key, fmt.Sprintf("%s[%d]", key, i), block, extra)
		if err != nil {
			return cty.NilVal, err
		}
		all = append(all, one)
	}
	return cty.TupleVal(all), nil
}

func (e *evaluation) forEach(key string, block *hclsyntax.Block, expr hclsyntax.Expression) (cty.Value, error) {
	each, err := e.value(expr, nil)
	if err != nil {
		return cty.NilVal, err
	}
	all := map[string]cty.Value{}
	for it := each.ElementIterator(); it.Next(); {
		k, v := it.Element()
		if each.Type().IsSetType() {
			k = v
		}
		extra := map[string]cty.Value{"each": cty.ObjectVal(map[string]cty.Value{"key": k, "value": v})}
		if all[k.AsString()], err = e.instance(key, fmt.Sprintf("%s[%q]", key, k.AsString()), block, extra); err != nil {
			return cty.NilVal, err
		}
	}
	return cty.ObjectVal(all), nil
}

// notAttributes are Terraform's own in a resource.
var notAttributes = []string{"count", "for_each", "depends_on", "provider"}

// instance is one of a resource, as it would be once it is made.
func (e *evaluation) instance(key, address string, block *hclsyntax.Block, extra map[string]cty.Value) (cty.Value, error) {
	values, err := e.body(block.Body, extra)
	if err != nil {
		return cty.NilVal, fmt.Errorf("%s: %w", address, err)
	}
	kind := block.Labels[0]
	if block.Type == "data" {
		kind = "data." + kind
	}
	chosen := maps.Clone(e.mocks[kind])
	if chosen == nil {
		chosen = map[string]cty.Value{}
	}
	if over, ok := e.overrides[address]; ok {
		maps.Copy(chosen, over.AsValueMap())
	}
	for name, value := range chosen {
		if _, set := values[name]; !set {
			values[name] = value
		}
	}
	if _, set := values["id"]; !set {
		values["id"] = cty.StringVal(address)
	}
	return cty.ObjectVal(values), nil
}

// body is a block's attributes, and its blocks as tuples.
func (e *evaluation) body(body *hclsyntax.Body, extra map[string]cty.Value) (map[string]cty.Value, error) {
	values := map[string]cty.Value{}
	for name, attribute := range body.Attributes {
		if slices.Contains(notAttributes, name) {
			continue
		}
		value, err := e.value(attribute.Expr, extra)
		if err != nil {
			return nil, err
		}
		values[name] = value
	}
	blocks := map[string][]cty.Value{}
	for _, block := range body.Blocks {
		if block.Type == "lifecycle" {
			continue
		}
		name, found, err := e.blocks(block, extra)
		if err != nil {
			return nil, err
		}
		blocks[name] = append(blocks[name], found...)
	}
	for name, all := range blocks {
		values[name] = cty.TupleVal(all)
	}
	return values, nil
}

// blocks are those that a block stands for: itself, or what dynamic makes.
func (e *evaluation) blocks(block *hclsyntax.Block, extra map[string]cty.Value) (string, []cty.Value, error) {
	if block.Type != "dynamic" {
		values, err := e.body(block.Body, extra)
		return block.Type, []cty.Value{cty.ObjectVal(values)}, err
	}
	name := block.Labels[0]
	each, err := e.value(block.Body.Attributes["for_each"].Expr, extra)
	if err != nil {
		return name, nil, err
	}
	var all []cty.Value
	for it := each.ElementIterator(); it.Next(); {
		k, v := it.Element()
		inner := maps.Clone(extra)
		if inner == nil {
			inner = map[string]cty.Value{}
		}
		inner[name] = cty.ObjectVal(map[string]cty.Value{"key": k, "value": v})
		values, err := e.body(block.Body.Blocks[0].Body, inner)
		if err != nil {
			return name, nil, err
		}
		all = append(all, cty.ObjectVal(values))
	}
	return name, all, nil
}

// instances are all of a kind that are made, by address.
func (e *evaluation) instances(t testing.TB, kind string) map[string]cty.Value {
	t.Helper()
	all := map[string]cty.Value{}
	for key, block := range e.m.resources {
		if block.Type == "data" || block.Labels[0] != kind {
			continue
		}
		value, err := e.resource(key)
		if err != nil {
			t.Fatal(err)
		}
		if block.Body.Attributes["count"] == nil && block.Body.Attributes["for_each"] == nil {
			all[key] = value
			continue
		}
		for it := value.ElementIterator(); it.Next(); {
			k, v := it.Element()
			all[fmt.Sprintf("%s[%#v]", key, k)] = v
		}
	}
	return all
}
