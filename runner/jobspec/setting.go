package jobspec

import (
	"errors"
	"fmt"
	"math"
	"math/big"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
)

// setting is an attribute on its way to a value: what the schema says of it
// and where it is written, if it is.
type setting struct {
	l      *loader
	schema *attributeSchema
	scope  scope
	expr   hcl.Expression // nil: not written
	where  hcl.Range      // of the expression, else of what should hold it
	// further are the attribute's expressions in the layers behind, for where
	// this one is null.
	further []hcl.Expression
}

// setting looks an attribute up in the layers, the first that has it, such as
// the task's resources before the job's. Layers may be nil.
func (l *loader) setting(schema *blockSchema, name string, s scope, layers ...*content) setting {
	declared := schema.attribute(name)
	if declared == nil {
		panic("no attribute " + name + " in the schema of " + schema.name)
	}
	st := setting{l: l, schema: declared, scope: s}
	for _, layer := range layers {
		if layer == nil {
			continue
		}
		if st.where.Filename == "" {
			st.where = layer.header
		}
		if attr, ok := layer.attrs[name]; ok && st.expr == nil {
			st.expr, st.where = attr.Expr, attr.Expr.Range()
		} else if ok {
			st.further = append(st.further, attr.Expr)
		}
	}
	return st
}

// given reports whether the attribute is written in the file.
func (st setting) given() bool { return st.expr != nil }

// require reports a required attribute that is not written.
func (st setting) require(block *content) bool {
	if st.given() {
		return true
	}
	st.l.report(report{at: block.header, summary: fmt.Sprintf("Missing attribute %q", st.schema.name),
		detail: fmt.Sprintf("%s needs %s, such as: %s = %s", block.title(), st.schema.name, st.schema.name, st.schema.example)})
	return false
}

// read is the value, or the schema's default where none is written or it is
// null. False when there is neither, or after a report. It has no marks and is
// wholly known.
func (st setting) read() (value cty.Value, secret, ok bool) {
	if st.expr != nil {
		value, secret = st.l.plain(st.l.evaluate(st.expr, st.scope), st.where)
		if !value.IsWhollyKnown() {
			return value, secret, false
		}
		if !value.IsNull() {
			return value, secret, true
		}
		if len(st.further) > 0 {
			behind := st
			behind.expr, behind.where, behind.further = st.further[0], st.further[0].Range(), st.further[1:]
			return behind.read()
		}
	}
	if st.schema.def == "" {
		return cty.NilVal, false, false
	}
	return defaultValue(st.schema), false, true
}

// defaultValue is the value of a schema's default.
func defaultValue(schema *attributeSchema) cty.Value {
	expr, diags := hclsyntax.ParseExpression([]byte(schema.def), "default of "+schema.name, hcl.InitialPos)
	if diags.HasErrors() {
		panic(diags)
	}
	value, diags := expr.Value(nil)
	if diags.HasErrors() {
		panic(diags)
	}
	return value
}

// wrongType reports a value of another type than the schema's.
func (st setting) wrongType(value cty.Value, secret bool, where hcl.Range) {
	st.l.report(report{at: where, summary: fmt.Sprintf("Wrong type for %q", st.schema.name),
		detail: fmt.Sprintf("%q is a %s, such as %s; this is %s.", st.schema.name, st.schema.kind, st.schema.example, describe(value, secret))})
}

// invalid reports a value that has the right type and is wrong all the same.
func (st setting) invalid(where hcl.Range, format string, args ...any) {
	st.l.report(report{at: where, summary: fmt.Sprintf("Invalid value for %q", st.schema.name), detail: sentence(fmt.Sprintf(format, args...))})
}

// sentence makes an error's text read as one.
func sentence(text string) string {
	if text == "" {
		return text
	}
	text = strings.ToUpper(text[:1]) + text[1:]
	if !strings.HasSuffix(text, ".") {
		text += "."
	}
	return text
}

// describe says what a value is: a number, the string "x", a list.
func describe(value cty.Value, secret bool) string {
	if value.IsNull() {
		return "null"
	}
	ty := value.Type()
	switch {
	case ty == cty.String && !secret && value.IsKnown():
		return fmt.Sprintf("the string %q", shorten(value.AsString()))
	case ty == cty.Number && !secret && value.IsKnown():
		return "the number " + shorten(value.AsBigFloat().Text('f', -1))
	case ty.IsPrimitiveType():
		return "a " + ty.FriendlyName()
	case ty.IsTupleType() || ty.IsListType():
		return "a list"
	case ty.IsSetType():
		return "a set"
	case ty.IsObjectType() || ty.IsMapType():
		return "a map"
	}
	return "something else"
}

// text reads a string; the second result is false when there is none.
func (st setting) text() (string, bool) {
	value, secret, ok := st.read()
	if !ok {
		return "", false
	}
	text, err := convert.Convert(value, cty.String)
	if err != nil || text.IsNull() {
		st.wrongType(value, secret, st.where)
		return "", false
	}
	if len(st.schema.oneOf) > 0 {
		return text.AsString(), st.isOneOf(text.AsString(), secret)
	}
	return text.AsString(), true
}

// sameAs are other people's names for allowed values.
var sameAs = map[string]string{"x86_64": "amd64", "x86-64": "amd64", "aarch64": "arm64", "TERM": "SIGTERM", "INT": "SIGINT", "USR1": "SIGUSR1", "USR2": "SIGUSR2", "HUP": "SIGHUP"}

func (st setting) isOneOf(text string, secret bool) bool {
	for _, allowed := range st.schema.oneOf {
		if text == allowed {
			return true
		}
	}
	r := report{at: st.where, summary: fmt.Sprintf("Invalid value for %q", st.schema.name),
		detail: fmt.Sprintf("%q is one of: %s.", st.schema.name, strings.Join(st.schema.oneOf, ", "))}
	if !secret {
		r.suggestion = nearest(text, st.schema.oneOf)
		if same := sameAs[text]; same != "" && nearest(same+"_", st.schema.oneOf) == same {
			r.suggestion = same
		}
	}
	st.l.report(r)
	return false
}

// number reads a number of at least low.
func (st setting) number(low float64) (float64, bool) {
	value, secret, ok := st.read()
	if !ok {
		return 0, false
	}
	number, err := convert.Convert(value, cty.Number)
	if err != nil || number.IsNull() {
		st.wrongType(value, secret, st.where)
		return 0, false
	}
	result, _ := number.AsBigFloat().Float64()
	if result < low || math.IsInf(result, 0) {
		st.invalid(st.where, "%q is a number of at least %g", st.schema.name, low)
		return 0, false
	}
	return result, true
}

// whole reads a whole number from low to high.
func (st setting) whole(low, high int) (int, bool) {
	value, secret, ok := st.read()
	if !ok {
		return 0, false
	}
	number, fault := wholeOf(value, low, high)
	if fault == "" {
		return number, true
	}
	if fault == faultType {
		st.wrongType(value, secret, st.where)
	} else {
		st.invalid(st.where, "%q is %s", st.schema.name, fault)
	}
	return 0, false
}

const faultType = "type"

// wholeOf is a value as a whole number within bounds, or what it should be.
func wholeOf(value cty.Value, low, high int) (number int, fault string) {
	converted, err := convert.Convert(value, cty.Number)
	if err != nil || converted.IsNull() {
		return 0, faultType
	}
	big, accuracy := converted.AsBigFloat().Int64()
	if accuracy != 0 || !converted.AsBigFloat().IsInt() || big < int64(low) || big > int64(high) {
		return 0, wholeBounds(low, high)
	}
	return int(big), ""
}

func wholeBounds(low, high int) string {
	if high >= math.MaxInt32 {
		return fmt.Sprintf("a whole number of at least %d", low)
	}
	return fmt.Sprintf("a whole number from %d to %d", low, high)
}

// boolean reads a bool.
func (st setting) boolean() (bool, bool) {
	value, secret, ok := st.read()
	if !ok {
		return false, false
	}
	truth, err := convert.Convert(value, cty.Bool)
	if err != nil || truth.IsNull() {
		st.wrongType(value, secret, st.where)
		return false, false
	}
	return truth.True(), true
}

// duration reads a duration.
func (st setting) duration() (time.Duration, bool) {
	value, secret, ok := st.read()
	if !ok {
		return 0, false
	}
	duration, err := durationOf(value)
	switch {
	case errors.Is(err, errWrongType):
		st.wrongType(value, secret, st.where)
		return 0, false
	case err != nil && secret:
		st.invalid(st.where, "%q is a duration, such as %s", st.schema.name, st.schema.example)
		return 0, false
	case err != nil:
		st.invalid(st.where, "%v", err)
		return 0, false
	}
	return duration, true
}

// size reads a size in bytes.
func (st setting) size() (int64, bool) {
	value, secret, ok := st.read()
	if !ok {
		return 0, false
	}
	size, err := sizeOf(value)
	switch {
	case errors.Is(err, errWrongType):
		st.wrongType(value, secret, st.where)
		return 0, false
	case err != nil && secret:
		st.invalid(st.where, "%q is a size, such as %s", st.schema.name, st.schema.example)
		return 0, false
	case err != nil:
		st.invalid(st.where, "%v", err)
		return 0, false
	}
	return size, true
}

type wrongTypeError struct{}

func (wrongTypeError) Error() string { return "wrong type" }

var errWrongType error = wrongTypeError{}

// durationOf is a value as a duration; errWrongType when it cannot be one.
func durationOf(value cty.Value) (time.Duration, error) {
	switch {
	case value.IsNull():
		return 0, errWrongType
	case value.Type() == cty.String:
		return parseDuration(value.AsString())
	case value.Type() == cty.Number:
		return parseDuration(value.AsBigFloat().Text('f', -1))
	}
	return 0, errWrongType
}

// sizeOf is a value as a size in bytes; errWrongType when it cannot be one.
func sizeOf(value cty.Value) (int64, error) {
	switch {
	case value.IsNull():
		return 0, errWrongType
	case value.Type() == cty.String:
		return parseSize(value.AsString())
	case value.Type() == cty.Number:
		if n := value.AsBigFloat(); n.Sign() < 0 || n.Cmp(new(big.Float).SetInt64(math.MaxInt64)) > 0 {
			return 0, fmt.Errorf("a size is a number of bytes from 0 on, or text such as \"16GiB\"")
		}
		return parseSize(value.AsBigFloat().Text('f', -1))
	}
	return 0, errWrongType
}
