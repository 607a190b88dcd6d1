package discovery

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"sync"
	"time"
)

// text checks a string by its format, enum and pattern.
func (c *checker) text(where string, schema *Schema, text string) {
	if err := checkFormat(schema.Format, text); err != nil {
		c.add(where, "%q is no %s", text, schema.Format)
	}
	if len(schema.Enum) > 0 && !slices.Contains(schema.Enum, text) {
		c.add(where, "%q is none of %q", text, schema.Enum)
	}
	if schema.Pattern == "" {
		return
	}
	pattern, err := compiled(schema.Pattern)
	if err != nil {
		c.add(where, "the pattern %q: %v", schema.Pattern, err)
	} else if !pattern.MatchString(text) {
		c.add(where, "%q must be a match of regex '%s'", text, schema.Pattern)
	}
}

// checkFormat is for strings; unknown formats say nothing of the text.
func checkFormat(format, text string) error {
	var err error
	switch format {
	case "int64":
		_, err = strconv.ParseInt(text, 10, 64)
	case "uint64":
		_, err = strconv.ParseUint(text, 10, 64)
	case "byte":
		_, err = base64.StdEncoding.DecodeString(text)
	case "date-time", "google-datetime":
		_, err = time.Parse(time.RFC3339, text)
	}
	return err
}

// number checks a number by its type, format and bounds.
func (c *checker) number(where string, schema *Schema, number json.Number) {
	value, err := number.Float64()
	if err != nil {
		c.add(where, "%q is no number", number)
		return
	}
	if schema.Type == "integer" {
		switch schema.Format {
		case "uint32":
			_, err = strconv.ParseUint(number.String(), 10, 32)
		case "int32":
			_, err = strconv.ParseInt(number.String(), 10, 32)
		default:
			_, err = strconv.ParseInt(number.String(), 10, 64)
		}
		if err != nil {
			c.add(where, "%s is no %s", number, schema.Format)
		}
	}
	if least, err := strconv.ParseFloat(schema.Minimum, 64); err == nil && value < least {
		c.add(where, "%s is less than %s", number, schema.Minimum)
	}
	if most, err := strconv.ParseFloat(schema.Maximum, 64); err == nil && value > most {
		c.add(where, "%s is more than %s", number, schema.Maximum)
	}
}

var patterns sync.Map // text to *regexp.Regexp

// compiled is a pattern that must match the whole of a text; discovery
// documents leave the anchors out, or not.
func compiled(text string) (*regexp.Regexp, error) {
	if known, ok := patterns.Load(text); ok {
		return known.(*regexp.Regexp), nil
	}
	pattern, err := regexp.Compile("^(?:" + text + ")$")
	if err == nil {
		patterns.Store(text, pattern)
	}
	return pattern, err
}

func kindOf(value any) string {
	switch value.(type) {
	case nil:
		return "null"
	case string:
		return "a string"
	case json.Number:
		return "a number"
	case bool:
		return "a boolean"
	case []any:
		return "an array"
	}
	return "an object"
}

func index(where string, i int) string { return fmt.Sprintf("%s[%d]", where, i) }
