package model

import (
	"bytes"
	"encoding/base64"
	"encoding/xml"
	"fmt"
	"strconv"
	"time"
)

// EncodeXML writes an operation's answer (the protocols ec2 and query). The
// error says what in it the model does not know.
func (s *Service) EncodeXML(operation, requestID string, answer Values) ([]byte, error) {
	known, ok := s.Operations[operation]
	if !ok {
		return nil, fmt.Errorf("no operation %s", operation)
	}
	var out bytes.Buffer
	fmt.Fprintf(&out, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<%sResponse xmlns=%q>", operation, s.Metadata.XMLNamespace)
	var err error
	body := func() {
		if known.Output != "" {
			err = s.encodeMembers(&out, s.Shapes[known.Output], operation, answer)
		}
	}
	if s.Metadata.Protocol == "ec2" {
		element(&out, "requestId", func() { text(&out, requestID) })
		body()
	} else {
		element(&out, known.Wrapper, body)
		element(&out, "ResponseMetadata", func() { element(&out, "RequestId", func() { text(&out, requestID) }) })
	}
	fmt.Fprintf(&out, "</%sResponse>", operation)
	return out.Bytes(), err
}

func element(out *bytes.Buffer, name string, body func()) {
	out.WriteString("<" + name + ">")
	body()
	out.WriteString("</" + name + ">")
}

func text(out *bytes.Buffer, value string) { _ = xml.EscapeText(out, []byte(value)) } // a buffer takes all

func (s *Service) encodeMembers(out *bytes.Buffer, shape *Shape, path string, values Values) (err error) {
	for _, name := range sortedNames(values) {
		member, ok := shape.Members[name]
		if !ok {
			return fmt.Errorf("the answer has %s.%s, which the model does not know", path, name)
		}
		if values[name] == nil {
			continue
		}
		wire := member.LocationName
		if wire == "" {
			wire = name
		}
		element(out, wire, func() { err = s.encode(out, member.Shape, join(path, name), values[name]) })
		if err != nil {
			return err
		}
	}
	return nil
}

func (s *Service) encode(out *bytes.Buffer, shapeName, path string, value any) (err error) {
	shape := s.Shapes[shapeName]
	switch v := value.(type) {
	case Values:
		if shape.Type == "structure" {
			return s.encodeMembers(out, shape, path, v)
		}
	case []any:
		if shape.Type != "list" {
			break
		}
		wire := shape.Member.LocationName
		if wire == "" {
			wire = "member"
		}
		for i, one := range v {
			element(out, wire, func() { err = s.encode(out, shape.Member.Shape, join(path, strconv.Itoa(i+1)), one) })
			if err != nil {
				return err
			}
		}
		return nil
	default:
		written, err := shape.write(value)
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		text(out, written)
		return shape.checkScalar(path, value)
	}
	return fmt.Errorf("%s is a %s in the model and %T in the answer", path, shape.Type, value)
}

// write is a scalar as text.
func (s *Shape) write(value any) (string, error) {
	wrong := fmt.Errorf("it is a %s in the model and %T in the answer", s.Type, value)
	switch v := value.(type) {
	case string:
		return v, when(s.Type == "string", wrong)
	case bool:
		return strconv.FormatBool(v), when(s.Type == "boolean", wrong)
	case int64:
		return strconv.FormatInt(v, 10), when(s.Type == "integer" || s.Type == "long", wrong)
	case float64:
		return strconv.FormatFloat(v, 'g', -1, 64), when(s.Type == "double" || s.Type == "float", wrong)
	case time.Time:
		return v.UTC().Format("2006-01-02T15:04:05.000Z"), when(s.Type == "timestamp", wrong)
	case []byte:
		return base64.StdEncoding.EncodeToString(v), when(s.Type == "blob", wrong)
	}
	return "", wrong
}

func when(ok bool, otherwise error) error {
	if ok {
		return nil
	}
	return otherwise
}

// ErrorXML is a refusal in the protocol of the service.
func (s *Service) ErrorXML(requestID, code, message string) []byte {
	var out bytes.Buffer
	body := func() {
		element(&out, "Code", func() { text(&out, code) })
		element(&out, "Message", func() { text(&out, message) })
	}
	out.WriteString("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n")
	if s.Metadata.Protocol == "ec2" {
		element(&out, "Response", func() {
			element(&out, "Errors", func() { element(&out, "Error", body) })
			element(&out, "RequestID", func() { text(&out, requestID) })
		})
		return out.Bytes()
	}
	element(&out, "ErrorResponse", func() {
		element(&out, "Error", body)
		element(&out, "RequestId", func() { text(&out, requestID) })
	})
	return out.Bytes()
}
