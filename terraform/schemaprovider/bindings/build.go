package bindings

import (
	"fmt"
	"strings"

	"github.com/spotrelay/spotrelay/terraform/schemaprovider/schema"
)

// Provider reads what is wanted of a package's provider: its configuration, and
// resources and data sources by name. One that it does not have is ErrUnknown.
func (p *Package) Provider(resources, data []string) (schema.Provider, error) {
	config, err := p.block("provider", "")
	if err != nil {
		return schema.Provider{}, err
	}
	delete(config.Attributes, "alias") // Terraform's own, not the provider's
	s := schema.Provider{Source: p.Source, Version: p.Version, Config: config, Resources: map[string]schema.Block{}, Data: map[string]schema.Block{}}
	for _, name := range resources {
		if s.Resources[name], err = p.block(p.folder(name, false), name); err != nil {
			return s, fmt.Errorf("resource %s: %w", name, err)
		}
	}
	for _, name := range data {
		if s.Data[name], err = p.block(p.folder(name, true), name); err != nil {
			return s, fmt.Errorf("data source %s: %w", name, err)
		}
	}
	return s, nil
}

// block reads one part of the package; kind, where it is given, must be its own.
func (p *Package) block(part, kind string) (schema.Block, error) {
	text, err := p.source(part)
	if err != nil {
		return schema.Block{}, err
	}
	f := parse(text)
	if f.root == "" {
		return schema.Block{}, fmt.Errorf("%s has no class of a resource; the form of the bindings has changed", part)
	}
	if kind != "" && f.kind != kind {
		return schema.Block{}, fmt.Errorf("%s is of %s", part, f.kind)
	}
	return f.block(f.root)
}

// block makes a structure's.
func (f *file) block(name string) (schema.Block, error) {
	b := schema.Block{Attributes: map[string]schema.Attribute{}, Blocks: map[string]schema.Nested{}}
	s := f.structures[name]
	if s == nil {
		return b, fmt.Errorf("there is no structure %s; the form of the bindings has changed", name)
	}
	for _, key := range s.order {
		m := s.members[key]
		if m.entered && m.block && !m.asAttribute() {
			nested, err := f.nested(m)
			if err != nil {
				return b, fmt.Errorf("%s: %w", key, err)
			}
			b.Blocks[key] = nested
			continue
		}
		t, err := f.typeOf(m)
		if err != nil {
			return b, fmt.Errorf("%s: %w", key, err)
		}
		attribute := schema.Attribute{Type: t, Computed: m.computed, Optional: m.optional, Required: m.required}
		if !m.computed && !m.optional && !m.required {
			attribute.Optional = true // a provider's own, which say nothing
		}
		b.Attributes[key] = attribute
	}
	return b, nil
}

// asAttribute: what can be computed as well as set is an attribute, though it
// may be written as a block (SDK v2, "Attributes as Blocks").
func (m *member) asAttribute() bool { return m.computed && m.nesting != "struct" }

func (f *file) nested(m *member) (schema.Nested, error) {
	block, err := f.block(f.element(m.storage))
	if err != nil {
		return schema.Nested{}, err
	}
	nested := schema.Nested{Block: block}
	switch m.nesting {
	case "struct":
		nested.Nesting = schema.Single
	case "set":
		nested.Nesting = schema.Set
	case "list":
		nested.Nesting = schema.List
	default:
		return nested, fmt.Errorf("blocks do not nest as %q", m.nesting)
	}
	if nested.Nesting != schema.Single && !m.repeated {
		nested.Most = 1
	}
	if m.required {
		nested.Least = 1
	}
	return nested, nil
}

// element is the structure that a list or map of structures has.
func (f *file) element(storage string) string {
	for _, suffix := range []string{"", "List", "Map"} {
		if name, found := strings.CutSuffix(storage, suffix); found && f.structures[name] != nil {
			return name
		}
	}
	return storage
}

// simple are the storage classes and getters that need no structure.
var simple = map[string]schema.Kind{
	"string": schema.String, "number": schema.Number, "boolean": schema.Bool, "any": schema.Any,
	"String": schema.String, "Number": schema.Number, "Boolean": schema.Bool,
}

// typeOf is an attribute's type.
func (f *file) typeOf(m *member) (schema.Type, error) {
	if !m.entered {
		return f.computedType(m)
	}
	if kind, ok := simple[m.storage]; ok {
		return schema.Type{Kind: kind}, nil
	}
	collection := schema.List
	switch m.nesting {
	case "set":
		collection = schema.Set
	case "map":
		collection = schema.Map
	}
	for _, suffix := range []string{"List", "Map"} {
		if base, found := strings.CutSuffix(m.storage, suffix); found {
			if kind, ok := simple[base]; ok {
				return schema.Of(collection, kind), nil
			}
		}
	}
	object, err := f.object(f.element(m.storage))
	if err != nil || m.nesting == "struct" {
		return object, err
	}
	return schema.Type{Kind: collection, Element: &object}, nil
}

func (f *file) computedType(m *member) (schema.Type, error) {
	if m.wrapper != "" {
		name := strings.TrimSuffix(m.wrapper, "OutputReference")
		object, err := f.object(f.element(name))
		switch {
		case err != nil:
			return object, err
		case strings.HasSuffix(m.wrapper, "OutputReference"):
			return object, nil
		case m.asSet:
			return schema.Type{Kind: schema.Set, Element: &object}, nil
		case strings.HasSuffix(m.wrapper, "Map"):
			return f.computedMap(m, object), nil
		}
		return schema.Type{Kind: schema.List, Element: &object}, nil
	}
	if kind, ok := simple[m.getter]; ok {
		return schema.Type{Kind: kind}, nil
	}
	list := schema.List
	if m.asSet {
		list = schema.Set
	}
	switch m.getter {
	case "List":
		return schema.Of(list, schema.String), nil
	case "NumberList":
		return schema.Of(list, schema.Number), nil
	}
	if base, found := strings.CutSuffix(m.getter, "Map"); found {
		if kind, ok := simple[base]; ok {
			return schema.Of(schema.Map, kind), nil
		}
	}
	return schema.Type{Kind: schema.Any}, nil
}

// computedMap is a map that has a class of its own: StringMap and its like are
// cdktf's, others hold objects.
func (f *file) computedMap(m *member, object schema.Type) schema.Type {
	if base, found := strings.CutSuffix(m.wrapper, "Map"); found {
		if kind, ok := simple[base]; ok {
			return schema.Of(schema.Map, kind)
		}
	}
	return schema.Type{Kind: schema.Map, Element: &object}
}

// object is a structure as a value; a class of cdktf's own has no members.
func (f *file) object(name string) (schema.Type, error) {
	s := f.structures[name]
	if s == nil {
		return schema.Type{Kind: schema.Any}, nil
	}
	object := schema.Type{Kind: schema.Object, Fields: map[string]schema.Type{}}
	for _, key := range s.order {
		t, err := f.typeOf(s.members[key])
		if err != nil {
			return object, fmt.Errorf("%s: %w", key, err)
		}
		object.Fields[key] = t
	}
	return object, nil
}
