package model

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strconv"
	"time"
)

// DecodeJSON reads a request of the protocol json. The error is a *Fault.
func (s *Service) DecodeJSON(operation string, body []byte) (Values, error) {
	known, ok := s.Operations[operation]
	if !ok {
		return nil, faultf("UnknownOperationException", "the operation %s is not known", operation)
	}
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.UseNumber()
	var from any
	if err := decoder.Decode(&from); err != nil {
		return nil, faultf("SerializationException", "the request is not JSON: %v", err)
	}
	value, err := s.fromJSON(known.Input, "", from)
	if err != nil {
		return nil, err
	}
	return value.(Values), nil
}

func (s *Service) fromJSON(shapeName, path string, from any) (any, error) {
	shape := s.Shapes[shapeName]
	switch v := from.(type) {
	case map[string]any:
		if shape.Type == "structure" {
			return s.structureFromJSON(shape, path, v)
		}
	case []any:
		if shape.Type != "list" {
			break
		}
		elements := make([]any, len(v))
		for i, one := range v {
			element, err := s.fromJSON(shape.Member.Shape, join(path, strconv.Itoa(i)), one)
			if err != nil {
				return nil, err
			}
			elements[i] = element
		}
		return elements, asValidation(shape.checkSize(path, float64(len(v)), "number of elements "))
	default:
		value, err := scalarFromJSON(shape.Type, v)
		if err == nil {
			return value, asValidation(shape.checkScalar(path, value))
		}
	}
	return nil, faultf("SerializationException", "%s must be a %s, not %T", path, shape.Type, from)
}

func (s *Service) structureFromJSON(shape *Shape, path string, from map[string]any) (any, error) {
	values := Values{}
	for _, name := range sortedNames(from) {
		member, ok := shape.Members[name]
		if !ok {
			return nil, faultf("SerializationException", "the member %s is not known", join(path, name))
		}
		if from[name] == nil {
			continue
		}
		value, err := s.fromJSON(member.Shape, join(path, name), from[name])
		if err != nil {
			return nil, err
		}
		values[name] = value
	}
	return values, asValidation(shape.checkRequired(path, values))
}

func asValidation(err error) error {
	if fault, ok := err.(*Fault); ok { //nolint:errorlint // made above, never wrapped
		return &Fault{"ValidationException", fault.Message}
	}
	return err
}

func scalarFromJSON(kind string, from any) (any, error) {
	switch v := from.(type) {
	case string:
		switch kind {
		case "string":
			return v, nil
		case "blob":
			return base64.StdEncoding.DecodeString(v)
		}
	case bool:
		if kind == "boolean" {
			return v, nil
		}
	case json.Number:
		switch kind {
		case "integer", "long":
			return v.Int64()
		case "double", "float":
			return v.Float64()
		case "timestamp":
			seconds, err := v.Float64()
			return time.Unix(0, int64(seconds*1e9)), err
		}
	}
	return nil, fmt.Errorf("it is no %s", kind)
}

// EncodeJSON writes an operation's answer. The error says what in it the model
// does not know.
func (s *Service) EncodeJSON(operation string, answer Values) ([]byte, error) {
	value, err := s.toJSON(s.Operations[operation].Output, operation, answer)
	if err != nil {
		return nil, err
	}
	return json.Marshal(value)
}

func (s *Service) toJSON(shapeName, path string, value any) (any, error) {
	shape := s.Shapes[shapeName]
	switch v := value.(type) {
	case Values:
		out := map[string]any{}
		for _, name := range sortedNames(v) {
			member, ok := shape.Members[name]
			if !ok {
				return nil, fmt.Errorf("the answer has %s.%s, which the model does not know", path, name)
			}
			below, err := s.toJSON(member.Shape, join(path, name), v[name])
			if err != nil {
				return nil, err
			}
			out[name] = below
		}
		return out, nil
	case []any:
		if shape.Type != "list" {
			return nil, fmt.Errorf("%s is a %s in the model and a list in the answer", path, shape.Type)
		}
		out := make([]any, len(v))
		for i, one := range v {
			below, err := s.toJSON(shape.Member.Shape, path, one)
			if err != nil {
				return nil, err
			}
			out[i] = below
		}
		return out, nil
	case time.Time:
		return float64(v.UnixMilli()) / 1000, when(shape.Type == "timestamp", fmt.Errorf("%s is a %s", path, shape.Type))
	}
	if _, err := shape.write(value); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return value, nil
}
