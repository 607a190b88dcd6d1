// Package discovery checks requests and answers against Google's own
// description of a service, its discovery document. What is checked in here is
// an extract of the documents that google.golang.org/api carries, made by go
// generate: the methods that spotrelay uses and what they refer to.
package discovery

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
)

//go:generate go run ./extract

//go:embed compute.json
var computeExtract []byte

//go:embed cloudbilling.json
var billingExtract []byte

// Document describes a service.
type Document struct {
	Name        string             `json:"name"`
	Version     string             `json:"version"`
	Revision    string             `json:"revision"`
	ServicePath string             `json:"servicePath"`
	Parameters  map[string]*Schema `json:"parameters"` // of every method
	Methods     map[string]*Method `json:"methods"`    // by id, "compute.instances.insert"
	Schemas     map[string]*Schema `json:"schemas"`
}

// Method is one of a service's methods.
type Method struct {
	ID         string             `json:"-"`
	HTTPMethod string             `json:"httpMethod"`
	Path       string             `json:"path"`
	Parameters map[string]*Schema `json:"parameters,omitempty"`
	Request    string             `json:"request,omitempty"` // a schema's name
	Response   string             `json:"response,omitempty"`

	document *Document
	route    *regexp.Regexp
	names    []string // of the route's groups
}

// Schema says what a value may be. A method's parameters are schemas too.
type Schema struct {
	Type       string             `json:"type,omitempty"`
	Format     string             `json:"format,omitempty"`
	Pattern    string             `json:"pattern,omitempty"`
	Enum       []string           `json:"enum,omitempty"`
	Minimum    string             `json:"minimum,omitempty"`
	Maximum    string             `json:"maximum,omitempty"`
	Ref        string             `json:"$ref,omitempty"`
	Items      *Schema            `json:"items,omitempty"`
	Properties map[string]*Schema `json:"properties,omitempty"`
	Additional *Schema            `json:"additionalProperties,omitempty"`
	Location   string             `json:"location,omitempty"` // of a parameter: "path", "query"
	Required   bool               `json:"required,omitempty"`
	Repeated   bool               `json:"repeated,omitempty"`
	ReadOnly   bool               `json:"readOnly,omitempty"` // only in answers
}

// Compute is Compute Engine's description.
func Compute() (*Document, error) { return Parse(computeExtract) }

// Billing is the billing catalogue's description.
func Billing() (*Document, error) { return Parse(billingExtract) }

// Parse reads an extract.
func Parse(data []byte) (*Document, error) {
	d := &Document{}
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(d); err != nil {
		return nil, fmt.Errorf("the extract is no JSON of its form: %w", err)
	}
	for id, method := range d.Methods {
		method.ID, method.document = id, d
		if err := method.compile(); err != nil {
			return nil, fmt.Errorf("method %s: %w", id, err)
		}
	}
	return d, nil
}

var placeholder = regexp.MustCompile(`\{(\+?)([A-Za-z]+)\}`)

// compile makes the path template a pattern.
func (m *Method) compile() error {
	var pattern strings.Builder
	rest := "/" + m.document.ServicePath + m.Path
	for {
		at := placeholder.FindStringSubmatchIndex(rest)
		if at == nil {
			break
		}
		pattern.WriteString(regexp.QuoteMeta(rest[:at[0]]))
		if at[2] != at[3] { // {+name} takes slashes too
			pattern.WriteString("(.+)")
		} else {
			pattern.WriteString("([^/]+)")
		}
		m.names = append(m.names, rest[at[4]:at[5]])
		rest = rest[at[1]:]
	}
	pattern.WriteString(regexp.QuoteMeta(rest))
	var err error
	m.route, err = regexp.Compile("^" + pattern.String() + "$")
	return err
}

// Find is the method that a request is for, with its path's parameters; nil if
// the extract has none.
func (d *Document) Find(httpMethod, path string) (*Method, map[string]string) {
	for _, method := range d.Methods {
		if method.HTTPMethod != httpMethod {
			continue
		}
		groups := method.route.FindStringSubmatch(path)
		if groups == nil {
			continue
		}
		values := map[string]string{}
		for i, name := range method.names {
			values[name] = groups[i+1]
		}
		return method, values
	}
	return nil, nil
}

// Answers reports whether an answer to the method can have a field at a path;
// lists are looked into.
func (m *Method) Answers(path ...string) bool {
	schema := m.document.Schemas[m.Response]
	for _, name := range path {
		for schema != nil && (schema.Ref != "" || schema.Type == "array") {
			if schema.Ref != "" {
				schema = m.document.Schemas[schema.Ref]
			} else {
				schema = schema.Items
			}
		}
		if schema == nil {
			return false
		}
		below := schema.Properties[name]
		if below == nil {
			below = schema.Additional
		}
		schema = below
	}
	return schema != nil
}
