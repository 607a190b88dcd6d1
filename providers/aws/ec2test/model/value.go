package model

import (
	"fmt"
	"maps"
	"math"
	"regexp"
	"slices"
	"sync"
	"time"
)

// Values are the members of a structure by the model's names: string, bool,
// int64, float64, time.Time, []byte, Values, and []any of these.
type Values map[string]any

// Fault is a request that the model does not allow, with the code that the
// service would answer.
type Fault struct {
	Code    string
	Message string
}

func (f *Fault) Error() string { return f.Code + ": " + f.Message }

func faultf(code, format string, args ...any) *Fault {
	return &Fault{code, fmt.Sprintf(format, args...)}
}

// Has reports whether a member is set.
func (v Values) Has(name string) bool { return v[name] != nil }

// String is the member's text, "" when it is not set.
func (v Values) String(name string) string { return get[string](v, name) }

// Bool is the member's value, false when it is not set.
func (v Values) Bool(name string) bool { return get[bool](v, name) }

// Int is the member's value, 0 when it is not set.
func (v Values) Int(name string) int { return int(get[int64](v, name)) }

// Float is the member's value, 0 when it is not set.
func (v Values) Float(name string) float64 { return get[float64](v, name) }

// Time is the member's value, zero when it is not set.
func (v Values) Time(name string) time.Time { return get[time.Time](v, name) }

// Struct is the structure in a member, nil when it is not set.
func (v Values) Struct(name string) Values { return get[Values](v, name) }

// Strings is a member that is a list of texts.
func (v Values) Strings(name string) []string { return list[string](v, name) }

// Structs is a member that is a list of structures.
func (v Values) Structs(name string) []Values { return list[Values](v, name) }

func get[V any](v Values, name string) V {
	value, _ := v[name].(V) // the zero value where it is not set
	return value
}

func list[V any](v Values, name string) []V {
	elements := get[[]any](v, name)
	all := make([]V, 0, len(elements))
	for _, element := range elements {
		if value, ok := element.(V); ok {
			all = append(all, value)
		}
	}
	return all
}

// List makes a list of anything for an answer.
func List[V any](elements []V) []any {
	all := make([]any, len(elements))
	for i, element := range elements {
		all[i] = element
	}
	return all
}

var javaEscape = regexp.MustCompile(`\\u([0-9A-Fa-f]{4})`)

var patterns sync.Map // of text: *regexp.Regexp

// pattern is the shape's pattern, nil for none. The services match the whole
// value.
func (s *Shape) pattern() (*regexp.Regexp, error) {
	if s.Pattern == "" {
		return nil, nil
	}
	if known, ok := patterns.Load(s.Pattern); ok {
		return known.(*regexp.Regexp), nil
	}
	compiled, err := regexp.Compile("^(?:" + javaEscape.ReplaceAllString(s.Pattern, `\x{$1}`) + ")$")
	if err != nil {
		return nil, fmt.Errorf("the pattern %q: %w", s.Pattern, err)
	}
	patterns.Store(s.Pattern, compiled)
	return compiled, nil
}

// checkScalar holds a value that was read to the shape's bounds.
func (s *Shape) checkScalar(path string, value any) error {
	size, unit := math.NaN(), ""
	switch v := value.(type) {
	case string:
		if len(s.Enum) > 0 && !slices.Contains(s.Enum, v) {
			return faultf("InvalidParameterValue", "Invalid value '%s' for %s. Allowed values: %v", v, path, s.Enum)
		}
		if p, _ := s.pattern(); p != nil && !p.MatchString(v) { // compiled when the model was read
			return faultf("InvalidParameterValue", "Value '%s' for %s does not match %s", v, path, s.Pattern)
		}
		size, unit = float64(len(v)), "length "
	case []byte:
		size, unit = float64(len(v)), "length "
	case int64:
		size = float64(v)
	case float64:
		size = v
	}
	return s.checkSize(path, size, unit)
}

func (s *Shape) checkSize(path string, size float64, unit string) error {
	if s.Min != nil && size < *s.Min || s.Max != nil && size > *s.Max {
		return faultf("InvalidParameterValue", "The %sof %s is %v; it must be %s", unit, path, size, s.bounds())
	}
	return nil
}

func (s *Shape) bounds() string {
	switch {
	case s.Min == nil:
		return fmt.Sprintf("at most %v", *s.Max)
	case s.Max == nil:
		return fmt.Sprintf("at least %v", *s.Min)
	}
	return fmt.Sprintf("between %v and %v", *s.Min, *s.Max)
}

// checkRequired wants the required members of a structure.
func (s *Shape) checkRequired(path string, values Values) error {
	for _, name := range s.Required {
		if !values.Has(name) {
			return faultf("MissingParameter", "The request must contain the parameter %s", join(path, name))
		}
	}
	return nil
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

func sortedNames[V any](all map[string]V) []string { return slices.Sorted(maps.Keys(all)) }
