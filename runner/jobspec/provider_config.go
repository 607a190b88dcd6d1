package jobspec

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"

	"github.com/spotrelay/spotrelay/providers"
)

// configLayer is one source of a fleet's config: a config block, a provider
// block or a fleet file.
type configLayer struct {
	header hcl.Range
	attrs  []configAttribute // in the order of the file
	blocks []configBlock
	json   bool
}

type configAttribute struct {
	name  string
	at    hcl.Range
	expr  hcl.Expression
	scope scope
}

type configBlock struct {
	kind string
	at   hcl.Range
	body *configLayer
}

func (c *configLayer) attribute(name string) (configAttribute, bool) {
	for _, attr := range c.attrs {
		if attr.name == name {
			return attr, true
		}
	}
	return configAttribute{}, false
}

func (l *loader) layerOfBody(body *hclsyntax.Body, header hcl.Range) *configLayer {
	layer := &configLayer{header: header}
	for _, attr := range inOrder(body.Attributes) {
		layer.attrs = append(layer.attrs, configAttribute{attr.Name, attr.NameRange, attr.Expr, scope{ctx: l.ctx}})
	}
	for _, block := range body.Blocks {
		if len(block.Labels) > 0 {
			l.report(report{at: block.LabelRanges[0], summary: fmt.Sprintf("A %s block has no name", block.Type), detail: fmt.Sprintf("Write %s { ... }.", block.Type)})
		}
		layer.blocks = append(layer.blocks, configBlock{block.Type, block.TypeRange, l.layerOfBody(block.Body, headerOf(block))})
	}
	return layer
}

// layerOfJSON reads the config object of a fleet file. Nested blocks are lists
// of objects there; which attributes are blocks, the schema tells.
func (l *loader) layerOfJSON(expr hcl.Expression) *configLayer {
	layer := &configLayer{header: expr.Range(), json: true}
	pairs, diags := hcl.ExprMap(expr)
	if diags.HasErrors() {
		l.report(report{at: expr.Range(), summary: `Wrong type for "config"`, detail: "The config of a fleet file is an object."})
		return layer
	}
	for _, pair := range pairs {
		if name, ok := textOf(l.evaluate(pair.Key, scope{})); ok {
			layer.attrs = append(layer.attrs, configAttribute{name, pair.Key.Range(), pair.Value, scope{}})
		}
	}
	return layer
}

// split moves what the schema calls blocks from a JSON layer's attributes to
// its blocks.
func (l *loader) split(layer *configLayer, schema providers.Schema) {
	if !layer.json {
		return
	}
	kept := layer.attrs[:0:0]
	for _, attr := range layer.attrs {
		if !slices.ContainsFunc(schema.Blocks, func(b providers.Block) bool { return b.Type == attr.name }) {
			kept = append(kept, attr)
			continue
		}
		elements, diags := hcl.ExprList(attr.expr)
		if diags.HasErrors() { // one object stands for a list of one
			elements = []hcl.Expression{attr.expr}
		}
		for _, element := range elements {
			layer.blocks = append(layer.blocks, configBlock{attr.name, attr.at, l.layerOfJSON(element)})
		}
	}
	layer.attrs = kept
}

// configReader turns layers into the JSON that a provider is given.
type configReader struct {
	l      *loader
	ranges map[string]hcl.Range
}

func (r *configReader) note(path []string, where hcl.Range) {
	r.ranges[strings.Join(path, "/")] = where
}

// checked reads layers by a schema: an attribute comes from the first layer
// that has it, the blocks of a type all from the first that has any.
func (r *configReader) checked(schema providers.Schema, layers []*configLayer, header hcl.Range, path []string) map[string]any {
	for _, layer := range layers {
		r.l.split(layer, schema)
		r.checkNames(schema, layer)
	}
	if len(layers) > 0 {
		header = layers[0].header
	}
	values := map[string]any{}
	for _, attribute := range schema.Attributes {
		if value, ok := r.attribute(attribute, layers, header, append(slices.Clip(path), attribute.Name)); ok {
			values[attribute.Name] = value
		}
	}
	for _, block := range schema.Blocks {
		if list := r.blocks(block, layers, path); list != nil {
			values[block.Type] = list
		}
	}
	return values
}

func (r *configReader) checkNames(schema providers.Schema, layer *configLayer) {
	var names []string
	isAttribute, isBlock := map[string]bool{}, map[string]bool{}
	for _, attribute := range schema.Attributes {
		names = append(names, attribute.Name)
		isAttribute[attribute.Name] = true
	}
	for _, block := range schema.Blocks {
		names = append(names, block.Type)
		isBlock[block.Type] = true
	}
	unknown := func(what, name string, where hcl.Range, hint string) {
		if hint == "" {
			hint = fmt.Sprintf("The provider has: %s.", strings.Join(sorted(names), ", "))
			if len(names) == 0 {
				hint = "The provider has no config."
			}
		}
		r.l.report(report{at: where, summary: fmt.Sprintf("Unknown %s %q", what, name), detail: hint, suggestion: nearest(name, names)})
	}
	for _, attr := range layer.attrs {
		if !isAttribute[attr.name] {
			hint := ""
			if isBlock[attr.name] {
				hint = fmt.Sprintf("%q is a block: write %s { ... } without an equals sign.", attr.name, attr.name)
			}
			unknown("attribute", attr.name, attr.at, hint)
		}
	}
	for _, block := range layer.blocks {
		if !isBlock[block.kind] {
			hint := ""
			if isAttribute[block.kind] {
				hint = fmt.Sprintf("%q is an attribute: write %s = ...", block.kind, block.kind)
			}
			unknown("block", block.kind, block.at, hint)
		}
	}
}

func (r *configReader) blocks(block providers.Block, layers []*configLayer, path []string) []any {
	var list []any
	for _, layer := range layers {
		for _, nested := range layer.blocks {
			if nested.kind != block.Type {
				continue
			}
			here := append(slices.Clip(path), block.Type, strconv.Itoa(len(list)))
			r.note(here, nested.at)
			list = append(list, r.checked(block.Schema, []*configLayer{nested.body}, nested.at, here))
			if block.Max > 0 && len(list) == block.Max+1 {
				r.l.report(report{at: nested.at, summary: fmt.Sprintf("Too many %s blocks", block.Type), detail: fmt.Sprintf("There are at most %d.", block.Max)})
			}
		}
		if list != nil {
			return list
		}
	}
	return nil
}

// attribute is the value of an attribute, its default included.
func (r *configReader) attribute(schema providers.Attribute, layers []*configLayer, header hcl.Range, path []string) (any, bool) {
	for _, layer := range layers {
		attr, ok := layer.attribute(schema.Name)
		if !ok {
			continue
		}
		r.note(path, attr.expr.Range())
		value, secret := r.l.plain(r.l.evaluate(attr.expr, attr.scope), attr.expr.Range())
		if !value.IsWhollyKnown() {
			return nil, false
		}
		if value.IsNull() {
			continue
		}
		return r.convert(schema, value, secret, attr.expr)
	}
	if len(schema.Default) > 0 {
		return schema.Default, true
	}
	if schema.Required {
		where := header
		if where.Filename == "" {
			where = r.l.jobHeader
		}
		r.l.report(report{at: where, summary: fmt.Sprintf("Missing attribute %q", schema.Name), detail: sentence(fmt.Sprintf("The provider needs %s in config: %s", schema.Name, schema.Description))})
	}
	return nil, false
}

func (r *configReader) convert(schema providers.Attribute, value cty.Value, secret bool, expr hcl.Expression) (any, bool) {
	where := expr.Range()
	converted, fault := convertTo(schema.Type, value)
	var inner *elementFault
	if errors.As(fault, &inner) {
		where, value, fault = inner.rangeIn(expr), inner.value, inner.fault
		schema.Type = inner.kind
	}
	switch {
	case fault == nil:
	case errors.Is(fault, errWrongType) || secret:
		r.l.report(report{at: where, summary: fmt.Sprintf("Wrong type for %q", schema.Name),
			detail: fmt.Sprintf("%q is a %s; this is %s.", schema.Name, schema.Type, describe(value, secret))})
		return nil, false
	default:
		r.l.report(report{at: where, summary: fmt.Sprintf("Invalid value for %q", schema.Name), detail: sentence(fault.Error())})
		return nil, false
	}
	if text, ok := converted.(string); ok && len(schema.OneOf) > 0 && !slices.Contains(schema.OneOf, text) {
		r.l.report(report{at: where, summary: fmt.Sprintf("Invalid value for %q", schema.Name),
			detail: fmt.Sprintf("%q is one of: %s.", schema.Name, strings.Join(schema.OneOf, ", ")), suggestion: nearest(text, schema.OneOf)})
		return nil, false
	}
	return converted, true
}

// convertTo converts a value to a type as a provider's schema writes it.
// Durations become text that Go's time.ParseDuration reads, sizes the number
// of bytes as text. A type of a later contract is passed on as it is.
func convertTo(kind string, value cty.Value) (any, error) {
	if value.IsNull() {
		return nil, errWrongType
	}
	if inner, ok := elementKind(kind, "list"); ok {
		return convertList(inner, value)
	}
	if inner, ok := elementKind(kind, "set"); ok {
		return convertList(inner, value)
	}
	if inner, ok := elementKind(kind, "map"); ok {
		return convertMap(inner, value)
	}
	switch kind {
	case "string":
		return convertScalar(value, cty.String)
	case "number":
		return convertScalar(value, cty.Number)
	case "bool":
		return convertScalar(value, cty.Bool)
	case "duration":
		duration, err := durationOf(value)
		return duration.String(), err
	case "size":
		size, err := sizeOf(value)
		return strconv.FormatInt(size, 10), err
	}
	return jsonValue(value), nil
}

// elementFault is what is wrong with one element of a list or map.
type elementFault struct {
	index int
	key   string
	kind  string // that it should have
	value cty.Value
	fault error
}

func (e *elementFault) Error() string { return e.fault.Error() }

// rangeIn is the place of the element in the expression of the whole.
func (e *elementFault) rangeIn(expr hcl.Expression) hcl.Range {
	if pairs, diags := hcl.ExprMap(expr); !diags.HasErrors() {
		for _, pair := range pairs {
			if key, diags := pair.Key.Value(nil); !diags.HasErrors() && key.Type() == cty.String && !key.IsNull() && key.AsString() == e.key {
				return pair.Value.Range()
			}
		}
	}
	if elements, diags := hcl.ExprList(expr); !diags.HasErrors() && e.index < len(elements) {
		return elements[e.index].Range()
	}
	return expr.Range()
}

func elementKind(kind, outer string) (inner string, ok bool) {
	inner, ok = strings.CutPrefix(kind, outer+"(")
	return strings.TrimSuffix(inner, ")"), ok && strings.HasSuffix(inner, ")")
}

func convertScalar(value cty.Value, to cty.Type) (any, error) {
	converted, err := convert.Convert(value, to)
	if err != nil || converted.IsNull() {
		return nil, errWrongType
	}
	return jsonValue(converted), nil
}

func convertList(kind string, value cty.Value) (any, error) {
	if !isListLike(value) {
		return nil, errWrongType
	}
	list := []any{}
	for it := value.ElementIterator(); it.Next(); {
		_, element := it.Element()
		converted, err := convertTo(kind, element)
		if err != nil {
			return nil, &elementFault{index: len(list), kind: kind, value: element, fault: err}
		}
		list = append(list, converted)
	}
	return list, nil
}

func convertMap(kind string, value cty.Value) (any, error) {
	if !isMapLike(value) {
		return nil, errWrongType
	}
	members := map[string]any{}
	for it := value.ElementIterator(); it.Next(); {
		key, element := it.Element()
		converted, err := convertTo(kind, element)
		if err != nil {
			return nil, &elementFault{key: key.AsString(), kind: kind, value: element, fault: err}
		}
		members[key.AsString()] = converted
	}
	return members, nil
}

// unchecked reads layers without a schema, for tools that have no plugins at
// hand.
func (r *configReader) unchecked(layers []*configLayer) map[string]any {
	values := map[string]any{}
	for _, layer := range slices.Backward(layers) {
		for _, attr := range layer.attrs {
			r.note([]string{attr.name}, attr.expr.Range())
			value, _ := r.l.plain(r.l.evaluate(attr.expr, attr.scope), attr.expr.Range())
			if value.IsWhollyKnown() && !value.IsNull() {
				values[attr.name] = jsonValue(value)
			}
		}
		blocks := map[string][]any{}
		for _, block := range layer.blocks {
			blocks[block.kind] = append(blocks[block.kind], r.unchecked([]*configLayer{block.body}))
		}
		for kind, list := range blocks {
			values[kind] = list
		}
	}
	return values
}
