package jobspec

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
	"github.com/zclconf/go-cty/cty/function"

	"github.com/spotrelay/spotrelay/runner/job"
)

// axisName is how the axes of a matrix are called, which become columns.
var axisName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_-]*$`)

// matrixFunction gives every combination of the values of its axes: a map from
// "lr=0.1,seed=3", the axes in the order of their names, to the object with
// the values.
var matrixFunction = function.New(&function.Spec{
	Params: []function.Parameter{{Name: "axes", Type: cty.DynamicPseudoType}},
	Type: func(args []cty.Value) (cty.Type, error) {
		ty := args[0].Type()
		if !ty.IsObjectType() && !ty.IsMapType() {
			return cty.NilType, errors.New("it takes an object of lists, such as matrix({lr = [0.1, 0.01], seed = range(5)})")
		}
		if !args[0].IsWhollyKnown() || args[0].LengthInt() == 0 {
			return cty.DynamicPseudoType, nil
		}
		axes, err := axesOf(args[0])
		return axes.resultType(), err
	},
	Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
		axes, err := axesOf(args[0])
		if err != nil {
			return cty.NilVal, err
		}
		return axes.combinations()
	},
})

// axis is a name with the values that it takes.
type axis struct {
	name   string
	kind   cty.Type
	values []cty.Value
	texts  []string
}

type axes []axis

// axesOf reads the axes, in the order of their names.
func axesOf(value cty.Value) (axes, error) {
	var list axes
	if value.LengthInt() == 0 {
		return nil, errors.New("it has no axis; write matrix({lr = [0.1, 0.01]})")
	}
	count := 1
	for it := value.ElementIterator(); it.Next(); {
		key, values := it.Element()
		a, err := axisOf(key.AsString(), values)
		if err != nil {
			return nil, err
		}
		list = append(list, a)
		count = min(count*len(a.values), maxCount+1)
	}
	if count > maxCount {
		return nil, fmt.Errorf("it has more than %d combinations", maxCount)
	}
	return list, nil
}

func axisOf(name string, values cty.Value) (axis, error) {
	a := axis{name: name}
	switch {
	case !axisName.MatchString(name):
		return a, fmt.Errorf("%q cannot be the name of an axis: it has letters, digits, - and _, and does not begin with a digit", shorten(name))
	case values.IsNull() || !isListLike(values):
		return a, fmt.Errorf("the axis %s is a list, such as [0.1, 0.01]", name)
	case values.LengthInt() > maxCount:
		return a, fmt.Errorf("the axis %s has more than %d values", name, maxCount)
	}
	seen := map[string]bool{}
	var kinds []cty.Type
	for it := values.ElementIterator(); it.Next(); {
		_, value := it.Element()
		text, ok := textOf(value)
		switch {
		case !ok:
			return a, fmt.Errorf("the axis %s has texts, numbers and bools, and not %s", name, describe(value, true))
		case seen[text]:
			return a, fmt.Errorf("the axis %s has the value %s twice", name, shorten(text))
		}
		seen[text] = true
		a.values, a.texts = append(a.values, value), append(a.texts, text)
		if len(kinds) == 0 || !kinds[len(kinds)-1].Equals(value.Type()) {
			kinds = append(kinds, value.Type())
		}
	}
	a.kind, _ = convert.UnifyUnsafe(kinds)
	if len(kinds) == 0 || a.kind == cty.NilType {
		a.kind = cty.String
	}
	for i := range a.values {
		converted, err := convert.Convert(a.values[i], a.kind)
		if err != nil {
			return a, fmt.Errorf("the axis %s: %w", name, err)
		}
		a.values[i] = converted
	}
	return a, nil
}

func (a axes) resultType() cty.Type {
	kinds := map[string]cty.Type{}
	for _, axis := range a {
		kinds[axis.name] = axis.kind
	}
	return cty.Map(cty.Object(kinds))
}

// combinations is every one of them.
func (a axes) combinations() (cty.Value, error) {
	all := map[string]cty.Value{}
	at := make([]int, len(a))
	for i := range a {
		if len(a[i].values) == 0 {
			return cty.MapValEmpty(a.resultType().ElementType()), nil
		}
	}
	for {
		var key strings.Builder
		values := make(map[string]cty.Value, len(a))
		for i, axis := range a {
			if i > 0 {
				key.WriteByte(',')
			}
			key.WriteString(axis.name + "=" + axis.texts[at[i]])
			values[axis.name] = axis.values[at[i]]
		}
		if _, again := all[key.String()]; again {
			return cty.NilVal, fmt.Errorf("two combinations are both called %s", shorten(key.String()))
		}
		all[key.String()] = cty.ObjectVal(values)
		i := len(a) - 1
		for ; i >= 0; i-- {
			if at[i]++; at[i] < len(a[i].values) {
				break
			}
			at[i] = 0
		}
		if i < 0 {
			return cty.MapVal(all), nil
		}
	}
}

// tabulate keeps what tells the indexes of a for_each apart, for tables: of
// objects whose attributes are all texts, numbers and bools.
func (t *task) tabulate(out *job.Task) {
	if t.array != "each" || t.secret || t.broken || len(t.values) == 0 {
		return
	}
	rows := make([]map[string]string, len(t.values))
	for i, value := range t.values {
		if value.IsNull() || !value.Type().IsObjectType() && !value.Type().IsMapType() || value.LengthInt() == 0 {
			return
		}
		rows[i] = make(map[string]string, value.LengthInt())
		for it := value.ElementIterator(); it.Next(); {
			key, attr := it.Element()
			text, ok := textOf(attr)
			if !ok {
				return
			}
			rows[i][key.AsString()] = text
		}
	}
	if out.Elements == nil {
		out.Elements = make([]job.Element, len(rows))
	}
	for i, row := range rows {
		out.Elements[i].Values = row
	}
}
