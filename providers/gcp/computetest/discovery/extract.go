package discovery

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// ComputeMethods are those that are kept of Compute's description, and
// BillingMethods of the billing catalogue's.
var (
	ComputeMethods = []string{
		"compute.acceleratorTypes.aggregatedList", "compute.acceleratorTypes.get", "compute.acceleratorTypes.list",
		"compute.globalOperations.aggregatedList", "compute.globalOperations.get", "compute.globalOperations.list",
		"compute.images.get", "compute.images.getFromFamily", "compute.images.list",
		"compute.instances.aggregatedList", "compute.instances.bulkInsert", "compute.instances.delete",
		"compute.instances.get", "compute.instances.getSerialPortOutput", "compute.instances.insert",
		"compute.instances.list", "compute.instances.simulateMaintenanceEvent", "compute.instances.stop",
		"compute.machineTypes.aggregatedList", "compute.machineTypes.get", "compute.machineTypes.list",
		"compute.networks.get", "compute.networks.list",
		"compute.projects.get",
		"compute.regionInstances.bulkInsert",
		"compute.regionOperations.get", "compute.regionOperations.list", "compute.regionOperations.wait",
		"compute.regions.get", "compute.regions.list",
		"compute.subnetworks.get", "compute.subnetworks.list",
		"compute.zoneOperations.get", "compute.zoneOperations.list", "compute.zoneOperations.wait",
		"compute.zones.get", "compute.zones.list",
	}
	BillingMethods = []string{"cloudbilling.services.list", "cloudbilling.services.skus.list"}
)

// source is a discovery document as Google writes it, as far as it is kept.
type source struct {
	Name        string                   `json:"name"`
	Version     string                   `json:"version"`
	Revision    string                   `json:"revision"`
	ServicePath string                   `json:"servicePath"`
	Parameters  map[string]*sourceSchema `json:"parameters"`
	Resources   map[string]resource      `json:"resources"`
	Schemas     map[string]*sourceSchema `json:"schemas"`
}

type resource struct {
	Methods   map[string]sourceMethod `json:"methods"`
	Resources map[string]resource     `json:"resources"`
}

type sourceMethod struct {
	ID         string                   `json:"id"`
	HTTPMethod string                   `json:"httpMethod"`
	Path       string                   `json:"path"`
	Parameters map[string]*sourceSchema `json:"parameters"`
	Request    sourceSchema             `json:"request"`
	Response   sourceSchema             `json:"response"`
}

// sourceSchema has the fields of a Schema, and the words by which Compute marks
// what is only in answers.
type sourceSchema struct {
	Schema
	Description string                   `json:"description"`
	Items       *sourceSchema            `json:"items"`
	Properties  map[string]*sourceSchema `json:"properties"`
	Additional  *sourceSchema            `json:"additionalProperties"`
}

// Extract keeps the named methods of a discovery document and the schemas that
// they refer to, without the words, a line each.
func Extract(document []byte, methods []string) ([]byte, error) {
	var s source
	if err := json.Unmarshal(document, &s); err != nil {
		return nil, fmt.Errorf("the discovery document: %w", err)
	}
	e := extraction{source: s, document: Document{
		Name: s.Name, Version: s.Version, Revision: s.Revision, ServicePath: s.ServicePath,
		Parameters: map[string]*Schema{}, Methods: map[string]*Method{}, Schemas: map[string]*Schema{},
	}}
	for name, parameter := range s.Parameters {
		e.document.Parameters[name] = e.keep(parameter)
	}
	found := map[string]sourceMethod{}
	gather(s.Resources, found)
	for _, id := range methods {
		method, ok := found[id]
		if !ok {
			return nil, fmt.Errorf("%s has no method %s", s.Name, id)
		}
		e.method(method)
	}
	return e.document.write()
}

func gather(resources map[string]resource, into map[string]sourceMethod) {
	for _, r := range resources {
		for _, method := range r.Methods {
			into[method.ID] = method
		}
		gather(r.Resources, into)
	}
}

type extraction struct {
	source   source
	document Document
}

func (e *extraction) method(m sourceMethod) {
	kept := &Method{
		HTTPMethod: m.HTTPMethod, Path: m.Path, Parameters: map[string]*Schema{},
		Request: m.Request.Ref, Response: m.Response.Ref,
	}
	for name, parameter := range m.Parameters {
		kept.Parameters[name] = e.keep(parameter)
	}
	e.document.Methods[m.ID] = kept
	e.keep(&m.Request)
	e.keep(&m.Response)
}

// keep is the schema without its words; what it refers to is kept too.
func (e *extraction) keep(s *sourceSchema) *Schema {
	if s == nil {
		return nil
	}
	kept := s.Schema
	kept.ReadOnly = kept.ReadOnly || strings.HasPrefix(s.Description, "[Output Only]") ||
		strings.HasPrefix(s.Description, "Output only.")
	kept.Items, kept.Additional = e.keep(s.Items), e.keep(s.Additional)
	if len(s.Properties) > 0 {
		kept.Properties = map[string]*Schema{}
		for name, property := range s.Properties {
			kept.Properties[name] = e.keep(property)
		}
	}
	if ref := kept.Ref; ref != "" {
		if _, ok := e.document.Schemas[ref]; !ok {
			e.document.Schemas[ref] = nil // it may refer to itself
			e.document.Schemas[ref] = e.keep(e.source.Schemas[ref])
		}
	}
	return &kept
}

// write puts each method and each schema on a line of its own.
func (d Document) write() ([]byte, error) {
	var out bytes.Buffer
	fmt.Fprintf(&out, "{\n\"name\": %q,\n\"version\": %q,\n\"revision\": %q,\n\"servicePath\": %q,\n",
		d.Name, d.Version, d.Revision, d.ServicePath)
	if err := writeMap(&out, "parameters", d.Parameters, ",\n"); err != nil {
		return nil, err
	}
	if err := writeMap(&out, "methods", d.Methods, ",\n"); err != nil {
		return nil, err
	}
	err := writeMap(&out, "schemas", d.Schemas, "\n}\n")
	return out.Bytes(), err
}

func writeMap[V any](out *bytes.Buffer, name string, values map[string]V, end string) error {
	fmt.Fprintf(out, "%q: {", name)
	for i, key := range slices.Sorted(maps.Keys(values)) {
		var line bytes.Buffer
		encoder := json.NewEncoder(&line)
		encoder.SetEscapeHTML(false)
		if err := encoder.Encode(values[key]); err != nil {
			return err
		}
		if i > 0 {
			out.WriteString(",")
		}
		fmt.Fprintf(out, "\n%q: %s", key, bytes.TrimSpace(line.Bytes()))
	}
	out.WriteString("\n}" + end)
	return nil
}
