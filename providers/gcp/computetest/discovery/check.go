package discovery

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/url"
	"slices"
	"sort"
)

// CheckRequest says what is wrong with a request for the method, as the list of
// all faults, nil for none. values are the path's parameters.
func (m *Method) CheckRequest(values map[string]string, query url.Values, body []byte) []*Fault {
	c := checker{document: m.document, sent: true}
	for name, value := range values {
		c.parameter("path."+name, m.Parameters[name], value)
	}
	c.query(m, query)
	if len(bytes.TrimSpace(body)) > 0 || m.Request != "" {
		c.body(m.Request, body)
	}
	return c.sorted()
}

// CheckAnswer says what is wrong with an answer to the method.
func (m *Method) CheckAnswer(body []byte) []*Fault {
	c := checker{document: m.document}
	c.body(m.Response, body)
	return c.sorted()
}

// checker gathers faults.
type checker struct {
	document *Document
	sent     bool // by a client, which must not fill in what is only answered
	faults   []*Fault
}

func (c *checker) add(where, format string, values ...any) {
	c.faults = append(c.faults, fault(where, format, values...))
}

func (c *checker) sorted() []*Fault {
	sort.SliceStable(c.faults, func(i, j int) bool { return c.faults[i].Where < c.faults[j].Where })
	return c.faults
}

func (c *checker) query(m *Method, query url.Values) {
	for name, given := range query {
		where := "query." + name
		schema := m.Parameters[name]
		if schema == nil || schema.Location != "query" {
			schema = c.document.Parameters[name]
		}
		if schema == nil {
			c.add(where, "%s has no such parameter", m.ID)
			continue
		}
		if len(given) > 1 && !schema.Repeated {
			c.add(where, "is given %d times", len(given))
		}
		for _, value := range given {
			c.parameter(where, schema, value)
		}
	}
	for name, schema := range m.Parameters {
		if schema.Required && schema.Location == "query" && !query.Has(name) {
			c.add("query."+name, "is required and missing")
		}
	}
}

// parameter checks a value that came as text.
func (c *checker) parameter(where string, schema *Schema, text string) {
	if schema == nil {
		c.add(where, "is no parameter")
		return
	}
	switch schema.Type {
	case "integer", "number":
		c.number(where, schema, json.Number(text))
	case "boolean":
		if text != "true" && text != "false" {
			c.add(where, "is %q, not true or false", text)
		}
	default:
		c.text(where, schema, text)
	}
}

func (c *checker) body(name string, body []byte) {
	schema := c.document.Schemas[name]
	if schema == nil {
		c.add("body", "there must be none")
		return
	}
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.UseNumber()
	var value any
	if err := decoder.Decode(&value); err != nil {
		c.add("body", "is no JSON: %v", err)
		return
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		c.add("body", "something follows the JSON")
	}
	c.value("body", schema, value)
}

// value checks a JSON value.
func (c *checker) value(where string, schema *Schema, value any) {
	if schema.Ref != "" {
		target := c.document.Schemas[schema.Ref]
		if target == nil {
			c.add(where, "the extract lacks the schema %s", schema.Ref)
			return
		}
		c.value(where, target, value)
		return
	}
	switch schema.Type {
	case "object":
		c.object(where, schema, value)
	case "array":
		list, ok := value.([]any)
		if !ok {
			c.add(where, "is %s, not an array", kindOf(value))
			return
		}
		for i, element := range list {
			c.value(index(where, i), schema.Items, element)
		}
	case "boolean":
		if _, ok := value.(bool); !ok {
			c.add(where, "is %s, not true or false", kindOf(value))
		}
	case "integer", "number":
		number, ok := value.(json.Number)
		if !ok {
			c.add(where, "is %s, not a number", kindOf(value))
			return
		}
		c.number(where, schema, number)
	case "string":
		text, ok := value.(string)
		if !ok {
			c.add(where, "is %s, not a string", kindOf(value))
			return
		}
		c.text(where, schema, text)
	case "any":
	default:
		c.add(where, "the extract has the unknown type %q", schema.Type)
	}
}

func (c *checker) object(where string, schema *Schema, value any) {
	fields, ok := value.(map[string]any)
	if !ok {
		c.add(where, "is %s, not an object", kindOf(value))
		return
	}
	names := make([]string, 0, len(fields))
	for name := range fields {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		property := schema.Properties[name]
		if property == nil {
			property = schema.Additional
		}
		switch {
		case property == nil:
			c.add(where+"."+name, "there is no such field")
		case property.ReadOnly && c.sent:
			c.add(where+"."+name, "is only for answers")
		default:
			c.value(where+"."+name, property, fields[name])
		}
	}
}
