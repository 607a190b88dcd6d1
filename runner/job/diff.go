package job

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// Difference is a field in which two specifications differ.
type Difference struct {
	Task  string // that it is of, "" for the job's own
	Fleet string // that it is of, or ""
	// Path of the field as the specification's JSON has it, below the task or
	// the fleet; an element of a list is its number, of a map its key. Empty:
	// the whole task or fleet.
	Path []string
	// A and B are the values as JSON; "" where there is none.
	A, B string
}

// Field is the path for people: "execution.timeout", "elements[3].command".
func (d *Difference) Field() string {
	var text strings.Builder
	for i, step := range d.Path {
		if _, err := strconv.Atoi(step); err == nil {
			text.WriteString("[" + step + "]")
			continue
		}
		if i > 0 {
			text.WriteByte('.')
		}
		text.WriteString(step)
	}
	return text.String()
}

// String is the difference in one line.
func (d *Difference) String() string {
	return d.Field() + ": " + d.Change()
}

// Change is what it was and is, shortened.
func (d *Difference) Change() string {
	show := func(value string) string {
		const most = 120
		switch {
		case value == "":
			return "(none)"
		case len(value) > most:
			return strings.ToValidUTF8(value[:most], "") + "..."
		}
		return value
	}
	return show(d.A) + " -> " + show(d.B)
}

// identity are the fields that say which run it is and how it was submitted,
// not what is run.
var identity = []string{"version", "run", "created", "seed", "recovery", "source", "timing"}

// Diff is in what two specifications differ: the job's own fields first, then
// fleets and tasks by name. Which run it is, when and from what text it was
// submitted, what it recovers, its timing and its seed of jitter are no
// differences, nor is where in the bucket manifests lie that hold the same.
func Diff(a, b *Spec) ([]Difference, error) {
	left, err := fieldsOf(a)
	if err != nil {
		return nil, err
	}
	right, err := fieldsOf(b)
	if err != nil {
		return nil, err
	}
	d := differ{}
	for _, kind := range []string{"fleets", "tasks"} {
		was, is := named(left[kind]), named(right[kind])
		delete(left, kind)
		delete(right, kind)
		for _, name := range slices.Sorted(maps.Keys(union(was, is))) {
			in := Difference{Task: name}
			if kind == "fleets" {
				in = Difference{Fleet: name}
			}
			d.compare(in, was[name], is[name])
		}
	}
	own := differ{}
	own.compare(Difference{}, left, right)
	return append(own.found, d.found...), nil
}

// fieldsOf is a specification as generic JSON, without what is no difference.
func fieldsOf(spec *Spec) (map[string]any, error) {
	data, err := json.Marshal(spec)
	if err != nil {
		return nil, fmt.Errorf("comparing specifications: %w", err)
	}
	var fields map[string]any
	reader := json.NewDecoder(bytes.NewReader(data))
	reader.UseNumber()
	if err := reader.Decode(&fields); err != nil {
		return nil, fmt.Errorf("comparing specifications: %w", err)
	}
	for _, name := range identity {
		delete(fields, name)
	}
	if inputs, ok := fields["inputs"].([]any); ok {
		fields["inputs"] = named(inputs)
	}
	return fields, nil
}

// named is a list of objects as a map by their names.
func named(list any) map[string]any {
	byName := map[string]any{}
	items, _ := list.([]any)
	for _, item := range items {
		if fields, ok := item.(map[string]any); ok {
			byName[fmt.Sprint(fields["name"])] = fields
		}
	}
	return byName
}

func union(a, b map[string]any) map[string]any {
	all := maps.Clone(a)
	maps.Copy(all, b)
	return all
}

type differ struct{ found []Difference }

func (d *differ) compare(at Difference, a, b any) {
	was, isMap := a.(map[string]any)
	is, bothMaps := b.(map[string]any)
	if isMap && bothMaps {
		if sameManifest(was, is) {
			return
		}
		for _, name := range slices.Sorted(maps.Keys(union(was, is))) {
			d.compare(at.below(name), was[name], is[name])
		}
		return
	}
	old, isList := a.([]any)
	now, bothLists := b.([]any)
	if isList && bothLists && len(old) == len(now) && len(old) > 0 && isObject(old[0]) {
		for i := range old {
			d.compare(at.below(strconv.Itoa(i)), old[i], now[i])
		}
		return
	}
	at.A, at.B = valueText(a), valueText(b)
	if at.A != at.B {
		d.found = append(d.found, at)
	}
}

func (d Difference) below(name string) Difference {
	d.Path = append(slices.Clip(d.Path), name)
	return d
}

func isObject(value any) bool {
	_, ok := value.(map[string]any)
	return ok
}

// sameManifest reports whether two objects are manifests that hold the same.
func sameManifest(a, b map[string]any) bool {
	content, ok := a["content"].(string)
	return ok && content != "" && content == b["content"] && a["key"] != nil && b["key"] != nil
}

func valueText(value any) string {
	if value == nil {
		return ""
	}
	var text bytes.Buffer
	writer := json.NewEncoder(&text)
	writer.SetEscapeHTML(false)
	if err := writer.Encode(value); err != nil {
		return fmt.Sprint(value)
	}
	return strings.TrimSuffix(text.String(), "\n")
}
