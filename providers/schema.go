package providers

import "encoding/json"

// Schema describes a provider's config block in a job file: attributes and
// nested blocks. spotrelay checks the block against it, reports faults with
// file, line and column, fills the defaults in and gives the provider JSON.
type Schema struct {
	Attributes []Attribute `json:"attributes,omitempty"`
	Blocks     []Block     `json:"blocks,omitempty"`
}

// Attribute is one attribute of a block.
type Attribute struct {
	Name string `json:"name"`
	// Type as a job file writes it: string, number, bool, list(string),
	// map(number), ... or duration ("90s") and size ("16GiB"), which are
	// strings in JSON and checked.
	Type        string          `json:"type"`
	Required    bool            `json:"required,omitempty"`
	Default     json.RawMessage `json:"default,omitempty"`
	OneOf       []string        `json:"one_of,omitempty"` // allowed values of a string
	Description string          `json:"description"`      // one line, for the reference
	Example     string          `json:"example,omitempty"`
}

// Block is a nested block; in JSON it is a list of objects under its type.
type Block struct {
	Type        string `json:"type"`
	Max         int    `json:"max,omitempty"` // 0: any number
	Description string `json:"description"`
	Schema      Schema `json:"schema"`
}
