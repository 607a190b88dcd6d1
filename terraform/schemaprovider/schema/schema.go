// Package schema is what a Terraform provider says of its resources: which
// attributes and blocks they have, and of what types. It is kept as JSON.
package schema

import (
	"encoding/json"
	"fmt"
	"os"
)

// Provider is all of a provider that is wanted.
type Provider struct {
	Source    string           `json:"source"`  // registry.terraform.io/hashicorp/aws
	Version   string           `json:"version"` // 6.25.0
	Config    Block            `json:"config"`
	Resources map[string]Block `json:"resources"`
	Data      map[string]Block `json:"data"`
}

// Block is a resource, a data source, a provider's configuration, or a block in
// one of them.
type Block struct {
	Attributes map[string]Attribute `json:"attributes,omitempty"`
	Blocks     map[string]Nested    `json:"blocks,omitempty"`
}

// Attribute of a block.
type Attribute struct {
	Type     Type `json:"type"`
	Required bool `json:"required,omitempty"`
	Optional bool `json:"optional,omitempty"`
	Computed bool `json:"computed,omitempty"`
}

// Nested is a block within a block.
type Nested struct {
	Nesting Kind  `json:"nesting"` // list, set or single
	Most    int64 `json:"most,omitempty"`
	Least   int64 `json:"least,omitempty"`
	Block   Block `json:"block"`
}

// Kind of a type.
type Kind string

// The kinds. A single is a block that is there once at most.
const (
	String Kind = "string"
	Number Kind = "number"
	Bool   Kind = "bool"
	Any    Kind = "any"
	List   Kind = "list"
	Set    Kind = "set"
	Map    Kind = "map"
	Object Kind = "object"
	Single Kind = "single"
)

// Type of an attribute's values.
type Type struct {
	Kind    Kind            `json:"kind"`
	Element *Type           `json:"element,omitempty"` // of list, set, map
	Fields  map[string]Type `json:"fields,omitempty"`  // of object
}

// Of is a collection of elements.
func Of(kind, element Kind) Type { return Type{Kind: kind, Element: &Type{Kind: element}} }

// Read reads a file that Write wrote.
func Read(path string) (Provider, error) {
	var p Provider
	data, err := os.ReadFile(path)
	if err != nil {
		return p, err
	}
	if err := json.Unmarshal(data, &p); err != nil {
		return p, fmt.Errorf("the schema %s: %w", path, err)
	}
	return p, nil
}

// Write writes the schema to a file.
func (p Provider) Write(path string) error {
	data, err := json.MarshalIndent(p, "", " ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(data, '\n'), 0o644)
}
