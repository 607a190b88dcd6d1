package jobspec

import (
	"fmt"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
)

// located is a text with its place.
type located struct {
	text string
	at   hcl.Range
}

func textsOf(list []located) []string {
	texts := make([]string, len(list))
	for i, item := range list {
		texts[i] = item.text
	}
	return texts
}

// list reads a list of strings; numbers and bools become text.
func (st setting) list() ([]located, bool) {
	value, secret, ok := st.read()
	if !ok {
		return nil, false
	}
	if !isListLike(value) {
		st.wrongType(value, secret, st.where)
		return nil, false
	}
	var list []located
	i := 0
	for it := value.ElementIterator(); it.Next(); i++ {
		_, element := it.Element()
		where := elementRange(st.expr, i, st.where)
		text, err := convert.Convert(element, cty.String)
		if err != nil || text.IsNull() {
			st.wrongElement(i, element, secret, where)
			ok = false
			continue
		}
		list = append(list, located{text.AsString(), where})
	}
	return list, ok
}

func (st setting) wrongElement(i int, element cty.Value, secret bool, where hcl.Range) {
	st.l.report(report{at: where, summary: fmt.Sprintf("Wrong type in %q", st.schema.name),
		detail: fmt.Sprintf("%q is a %s, such as %s; its element %d is %s.", st.schema.name, st.schema.kind, st.schema.example, i, describe(element, secret))})
}

func isListLike(value cty.Value) bool {
	if value.IsNull() || !value.IsKnown() {
		return false
	}
	ty := value.Type()
	return ty.IsListType() || ty.IsTupleType() || ty.IsSetType()
}

func isMapLike(value cty.Value) bool {
	if value.IsNull() || !value.IsKnown() {
		return false
	}
	ty := value.Type()
	return ty.IsMapType() || ty.IsObjectType()
}

// elementRange is the place of an element of a list that is written out, else
// that of the whole.
func elementRange(expr hcl.Expression, i int, whole hcl.Range) hcl.Range {
	if tuple, ok := expr.(*hclsyntax.TupleConsExpr); ok && i < len(tuple.Exprs) {
		return tuple.Exprs[i].Range()
	}
	return whole
}

// items are the places of the entries of a map that is written out.
type items map[string]struct{ key, value hcl.Range }

func itemsOf(expr hcl.Expression) items {
	found := items{}
	object, ok := expr.(*hclsyntax.ObjectConsExpr)
	if !ok {
		return found
	}
	for _, item := range object.Items {
		key, diags := item.KeyExpr.Value(nil)
		if diags.HasErrors() || key.IsNull() || !key.IsKnown() || key.Type() != cty.String {
			continue
		}
		found[key.AsString()] = struct{ key, value hcl.Range }{item.KeyExpr.Range(), item.ValueExpr.Range()}
	}
	return found
}

func (i items) keyOf(name string, whole hcl.Range) hcl.Range {
	if item, ok := i[name]; ok {
		return item.key
	}
	return whole
}

func (i items) valueOf(name string, whole hcl.Range) hcl.Range {
	if item, ok := i[name]; ok {
		return item.value
	}
	return whole
}

// table reads a map of strings; numbers and bools become text.
func (st setting) table() (map[string]located, bool) {
	value, secret, ok := st.read()
	if !ok {
		return nil, false
	}
	if !isMapLike(value) {
		st.wrongType(value, secret, st.where)
		return nil, false
	}
	places := itemsOf(st.expr)
	table := map[string]located{}
	for it := value.ElementIterator(); it.Next(); {
		key, element := it.Element()
		name := key.AsString()
		text, err := convert.Convert(element, cty.String)
		if err != nil || text.IsNull() {
			st.l.report(report{at: places.valueOf(name, st.where), summary: fmt.Sprintf("Wrong type in %q", st.schema.name),
				detail: fmt.Sprintf("%q is a %s; %q is %s.", st.schema.name, st.schema.kind, name, describe(element, secret))})
			ok = false
			continue
		}
		table[name] = located{text.AsString(), places.keyOf(name, st.where)}
	}
	return table, ok
}

// object reads an object attribute: its members, as settings of the object's
// own schema. Without one they all have their defaults.
func (st setting) object() (member func(name string) setting, ok bool) {
	schema := st.schema.object
	bare := func(name string) setting {
		return setting{l: st.l, schema: schema.attribute(name), scope: st.scope, where: st.where}
	}
	if !st.given() {
		return bare, true
	}
	value, secret, ok := st.read()
	if !ok {
		return bare, value != cty.NilVal && value.IsNull()
	}
	if !isMapLike(value) {
		st.wrongType(value, secret, st.where)
		return bare, false
	}
	places := itemsOf(st.expr)
	values := value.AsValueMap()
	for _, name := range keysOf(values) {
		if !slices.Contains(schema.names(), name) {
			st.l.report(report{at: places.keyOf(name, st.where), summary: fmt.Sprintf("Unknown attribute %q", name),
				detail: fmt.Sprintf("%s has: %s.", st.schema.name, strings.Join(schema.names(), ", ")), suggestion: nearest(name, schema.names())})
		}
	}
	return func(name string) setting {
		st := bare(name)
		if value, written := values[name]; written {
			st.where = places.valueOf(name, st.where)
			st.expr = hcl.StaticExpr(value, st.where)
		}
		return st
	}, ok
}

// codes reads a list of exit codes, ordered and without repetitions.
func (st setting) codes() []int {
	value, secret, ok := st.read()
	if !ok {
		return nil
	}
	if !isListLike(value) {
		st.wrongType(value, secret, st.where)
		return nil
	}
	var codes []int
	for it := value.ElementIterator(); it.Next(); {
		_, element := it.Element()
		code, fault := wholeOf(element, 1, 255)
		if fault != "" {
			st.invalid(st.where, "an exit code is %s; 0 is always success", wholeBounds(1, 255))
			return nil
		}
		codes = append(codes, code)
	}
	slices.Sort(codes)
	return slices.Compact(codes)
}
