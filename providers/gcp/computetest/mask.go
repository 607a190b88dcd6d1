package computetest

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/spotrelay/spotrelay/providers/gcp/computetest/discovery"
)

// masked keeps those fields of an answer that a field mask names, as Google's
// services do for the header X-Goog-FieldMask: paths with '.' or '/', joined by
// commas, with the paths below one in parentheses. A field that the answer
// cannot have is an error.
func masked(method *discovery.Method, data []byte, mask string) ([]byte, error) {
	if mask == "*" {
		return data, nil
	}
	tree, rest, err := parseMask(mask, 0)
	if err == nil && rest != "" {
		err = fmt.Errorf("what is %q for?", rest)
	}
	if err == nil {
		err = knownFields(method, tree, nil)
	}
	if err != nil {
		return nil, err
	}
	var value any
	if err := json.Unmarshal(data, &value); err != nil {
		return nil, err
	}
	return json.Marshal(keepFields(value, tree))
}

// parseMask reads paths up to the end or a closing parenthesis.
func parseMask(text string, depth int) (tree object, rest string, err error) {
	tree = object{}
	for {
		end := strings.IndexAny(text, ",()")
		if end < 0 {
			end = len(text)
		}
		node := tree
		for name := range strings.SplitSeq(strings.ReplaceAll(text[:end], "/", "."), ".") {
			if name == "" || strings.Contains(name, " ") || depth > 10 {
				return nil, "", fmt.Errorf("%q is no path of a field mask", text[:end])
			}
			if node[name] == nil {
				node[name] = object{}
			}
			node = objectAt(node, name)
		}
		text = text[end:]
		if strings.HasPrefix(text, "(") {
			below, after, err := parseMask(text[1:], depth+1)
			if err != nil {
				return nil, "", err
			}
			if !strings.HasPrefix(after, ")") {
				return nil, "", fmt.Errorf("a parenthesis has no end: %q", text)
			}
			for name, value := range below {
				node[name] = value
			}
			text = after[1:]
		}
		if !strings.HasPrefix(text, ",") {
			return tree, text, nil
		}
		text = text[1:]
	}
}

func knownFields(method *discovery.Method, tree object, above []string) error {
	for name := range tree {
		path := append(above[:len(above):len(above)], name)
		if !method.Answers(path...) {
			return fmt.Errorf("the answer has no field %s", strings.Join(path, "."))
		}
		if err := knownFields(method, objectAt(tree, name), path); err != nil {
			return err
		}
	}
	return nil
}

func keepFields(value any, tree object) any {
	if len(tree) == 0 {
		return value
	}
	switch v := value.(type) {
	case []any:
		for i := range v {
			v[i] = keepFields(v[i], tree)
		}
	case object:
		for name := range v {
			below, ok := tree[name].(object)
			if !ok {
				delete(v, name)
				continue
			}
			v[name] = keepFields(v[name], below)
		}
	}
	return value
}
