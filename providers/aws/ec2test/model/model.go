package model

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"sync"
)

//go:embed testdata/model.json
var embedded []byte

// Model is an extract of service models.
type Model struct {
	Source   string              `json:"source"` // the package that they were cut out of
	Version  string              `json:"version"`
	Licence  string              `json:"licence"`
	Services map[string]*Service `json:"services"` // by the name that requests are signed for
}

// Service is one service's model.
type Service struct {
	Metadata   Metadata             `json:"metadata"`
	Operations map[string]Operation `json:"operations"`
	Shapes     map[string]*Shape    `json:"shapes"`
}

// Metadata says how a service is spoken to.
type Metadata struct {
	APIVersion   string `json:"apiVersion"`
	Protocol     string `json:"protocol"` // ec2, query or json
	TargetPrefix string `json:"targetPrefix,omitempty"`
	JSONVersion  string `json:"jsonVersion,omitempty"`
	XMLNamespace string `json:"xmlNamespace,omitempty"`
}

// Operation names the shapes of a request and its answer; "" is none.
type Operation struct {
	Input   string `json:"input,omitempty"`
	Output  string `json:"output,omitempty"`
	Wrapper string `json:"wrapper,omitempty"` // element around a query answer
}

// Shape is a type.
type Shape struct {
	Type     string            `json:"type"`
	Required []string          `json:"required,omitempty"`
	Members  map[string]Member `json:"members,omitempty"`
	Member   *Member           `json:"member,omitempty"` // of a list
	Key      *Member           `json:"key,omitempty"`    // of a map
	Value    *Member           `json:"value,omitempty"`
	Enum     []string          `json:"enum,omitempty"`
	Min      *float64          `json:"min,omitempty"` // of a number, or of a length
	Max      *float64          `json:"max,omitempty"`
	Pattern  string            `json:"pattern,omitempty"`
}

// Member is a use of a shape.
type Member struct {
	Shape        string `json:"shape"`
	LocationName string `json:"locationName,omitempty"`
	QueryName    string `json:"queryName,omitempty"`
}

// Load gives the extract that is part of this package.
var Load = sync.OnceValue(func() *Model {
	m, err := Parse(embedded)
	if err != nil {
		panic("model: the built-in extract is broken: " + err.Error())
	}
	return m
})

// Parse reads an extract.
func Parse(data []byte) (*Model, error) {
	var m Model
	if err := json.Unmarshal(data, &m); err != nil {
		return nil, err
	}
	for name, service := range m.Services {
		if err := service.check(); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	return &m, nil
}

// check that every shape which is named is there.
func (s *Service) check() error {
	known := func(names ...string) error {
		for _, name := range names {
			if name != "" && s.Shapes[name] == nil {
				return fmt.Errorf("the shape %s is missing", name)
			}
		}
		return nil
	}
	for _, operation := range s.Operations {
		if err := known(operation.Input, operation.Output); err != nil {
			return err
		}
	}
	for _, shape := range s.Shapes {
		for _, use := range shape.uses() {
			if err := known(use.Shape); err != nil {
				return err
			}
		}
		if _, err := shape.pattern(); err != nil {
			return err
		}
	}
	return nil
}

// uses are all the shapes that a shape is made of.
func (s *Shape) uses() []Member {
	uses := slices.Collect(maps.Values(s.Members))
	for _, one := range []*Member{s.Member, s.Key, s.Value} {
		if one != nil {
			uses = append(uses, *one)
		}
	}
	return uses
}
