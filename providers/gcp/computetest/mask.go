package computetest

import (
	"encoding/json"
	"fmt"
	"strings"
)

// masked keeps those fields of an answer that a field mask names, as Google's
// services do for the header X-Goog-FieldMask: paths with dots, joined by
// commas, through the elements of lists and the values of maps ("*").
func masked(data []byte, mask string) ([]byte, error) {
	if mask == "*" {
		return data, nil
	}
	tree := object{}
	for path := range strings.SplitSeq(mask, ",") {
		node := tree
		for name := range strings.SplitSeq(path, ".") {
			if name == "" || strings.ContainsAny(name, " ()/") {
				return nil, fmt.Errorf("%q is no path of a field mask", path)
			}
			below, ok := node[name].(object)
			if !ok {
				below = object{}
				node[name] = below
			}
			node = below
		}
	}
	var value any
	if err := json.Unmarshal(data, &value); err != nil {
		return nil, err
	}
	return json.Marshal(keepFields(value, tree))
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
				below, ok = tree["*"].(object)
			}
			if !ok {
				delete(v, name)
				continue
			}
			v[name] = keepFields(v[name], below)
		}
	}
	return value
}
