package model

import (
	"encoding/base64"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// DecodeQuery reads a form-encoded request of an operation (the protocols ec2
// and query). The error is a *Fault for anything that the model does not allow.
func (s *Service) DecodeQuery(operation string, form url.Values) (Values, error) {
	known, ok := s.Operations[operation]
	if !ok {
		return nil, faultf("InvalidAction", "The action %s is not valid for this web service", operation)
	}
	root := &branch{}
	for name, values := range form {
		if name == "Action" || name == "Version" {
			continue
		}
		if len(values) != 1 {
			return nil, faultf("InvalidParameterCombination", "The parameter %s is given %d times", name, len(values))
		}
		root.put(strings.Split(name, "."), values[0])
	}
	if known.Input == "" {
		return Values{}, root.wantLeavesOf("", nil)
	}
	value, err := s.decode(known.Input, "", root)
	if err != nil {
		return nil, err
	}
	return value.(Values), nil
}

// branch is a node of the tree that the dotted names make.
type branch struct {
	leaf  *string
	below map[string]*branch
}

func (b *branch) put(path []string, value string) {
	for _, name := range path {
		if b.below == nil {
			b.below = map[string]*branch{}
		}
		if b.below[name] == nil {
			b.below[name] = &branch{}
		}
		b = b.below[name]
	}
	b.leaf = &value
}

// wantLeavesOf wants nothing below but what is known.
func (b *branch) wantLeavesOf(path string, known map[string]bool) error {
	for _, name := range sortedNames(b.below) {
		if !known[name] {
			return faultf("UnknownParameter", "The parameter %s is not recognized", join(path, name))
		}
	}
	return nil
}

// queryName is a member's name in a request.
func (s *Service) queryName(name string, member Member) string {
	switch {
	case s.Metadata.Protocol != "ec2":
		if member.LocationName != "" {
			return member.LocationName
		}
		return name
	case member.QueryName != "":
		return member.QueryName
	case member.LocationName != "":
		return capital(member.LocationName)
	}
	return capital(name)
}

func capital(name string) string {
	first, size := utf8.DecodeRuneInString(name)
	return string(unicode.ToUpper(first)) + name[size:]
}

func (s *Service) decode(shapeName, path string, from *branch) (any, error) {
	shape := s.Shapes[shapeName]
	switch shape.Type {
	case "structure":
		return s.decodeStructure(shape, path, from)
	case "list":
		return s.decodeList(shape, path, from)
	}
	if from.leaf == nil || len(from.below) > 0 {
		return nil, faultf("UnknownParameter", "%s is a %s, it has no members", path, shape.Type)
	}
	value, err := parseScalar(shape.Type, *from.leaf)
	if err != nil {
		return nil, faultf("InvalidParameterValue", "Invalid value '%s' for %s: it must be a %s", *from.leaf, path, shape.Type)
	}
	return value, shape.checkScalar(path, value)
}

func (s *Service) decodeStructure(shape *Shape, path string, from *branch) (any, error) {
	if from.leaf != nil {
		return nil, faultf("InvalidParameterValue", "%s is a structure, not a value", path)
	}
	values, known := Values{}, map[string]bool{}
	for _, name := range sortedNames(shape.Members) {
		wire := s.queryName(name, shape.Members[name])
		known[wire] = true
		below := from.below[wire]
		if below == nil {
			continue
		}
		value, err := s.decode(shape.Members[name].Shape, join(path, wire), below)
		if err != nil {
			return nil, err
		}
		values[name] = value
	}
	if err := from.wantLeavesOf(path, known); err != nil {
		return nil, err
	}
	return values, shape.checkRequired(path, values)
}

// decodeList reads Name.1, Name.2 and so on: in EC2's protocol lists are flat.
func (s *Service) decodeList(shape *Shape, path string, from *branch) (any, error) {
	if from.leaf != nil {
		return nil, faultf("InvalidParameterValue", "%s is a list: name its elements %s.1, %s.2, ...", path, path, path)
	}
	elements := make([]any, 0, len(from.below))
	for i := 1; i <= len(from.below); i++ {
		number := strconv.Itoa(i)
		below := from.below[number]
		if below == nil {
			return nil, faultf("UnknownParameter", "%s has %d elements and none with the number %d: %v", path, len(from.below), i, sortedNames(from.below))
		}
		element, err := s.decode(shape.Member.Shape, join(path, number), below)
		if err != nil {
			return nil, err
		}
		elements = append(elements, element)
	}
	return elements, shape.checkSize(path, float64(len(elements)), "number of elements ")
}

func parseScalar(kind, text string) (any, error) {
	switch kind {
	case "boolean":
		switch text {
		case "true":
			return true, nil
		case "false":
			return false, nil
		}
		return nil, strconv.ErrSyntax
	case "integer":
		return strconv.ParseInt(text, 10, 32)
	case "long":
		return strconv.ParseInt(text, 10, 64)
	case "double", "float":
		return strconv.ParseFloat(text, 64)
	case "timestamp":
		return time.Parse(time.RFC3339Nano, text)
	case "blob":
		return base64.StdEncoding.DecodeString(text)
	}
	return text, nil
}
