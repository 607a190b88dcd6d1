package terraformtest

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/hashicorp/go-cty-funcs/cidr"
	"github.com/hashicorp/go-cty-funcs/encoding"
	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/ext/tryfunc"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
	"github.com/zclconf/go-cty/cty/function"
	"github.com/zclconf/go-cty/cty/function/stdlib"
)

// functions are those of Terraform's that the modules and their tests use.
func functions(dir string) map[string]function.Function {
	all := map[string]function.Function{
		"base64decode": encoding.Base64DecodeFunc, "base64encode": encoding.Base64EncodeFunc,
		"can": tryfunc.CanFunc, "try": tryfunc.TryFunc,
		"cidrnetmask": cidr.NetmaskFunc, "cidrsubnet": cidr.SubnetFunc,
		"concat": stdlib.ConcatFunc, "contains": stdlib.ContainsFunc, "distinct": stdlib.DistinctFunc,
		"floor": stdlib.FloorFunc, "format": stdlib.FormatFunc, "index": indexFunc,
		"join": stdlib.JoinFunc, "jsondecode": stdlib.JSONDecodeFunc, "jsonencode": stdlib.JSONEncodeFunc,
		"keys": stdlib.KeysFunc, "lower": stdlib.LowerFunc, "max": stdlib.MaxFunc, "merge": stdlib.MergeFunc, "min": stdlib.MinFunc,
		"regex": stdlib.RegexFunc, "setintersection": stdlib.SetIntersectionFunc, "slice": stdlib.SliceFunc, "sort": stdlib.SortFunc, "split": stdlib.SplitFunc,
		"tolist": stdlib.MakeToFunc(cty.List(cty.DynamicPseudoType)), "tonumber": stdlib.MakeToFunc(cty.Number),
		"toset": stdlib.MakeToFunc(cty.Set(cty.DynamicPseudoType)), "tostring": stdlib.MakeToFunc(cty.String),
		"trimspace": stdlib.TrimSpaceFunc,
		"alltrue":   allTrueFunc, "length": lengthFunc, "one": oneFunc, "replace": replaceFunc,
		"basename":    textFunc(1, func(a []string) string { return filepath.Base(a[0]) }),
		"endswith":    testFunc(strings.HasSuffix),
		"startswith":  testFunc(strings.HasPrefix),
		"strcontains": testFunc(strings.Contains),
	}
	all["templatefile"] = templateFunc(all)
	return all
}

func parameters(n int, kind cty.Type) []function.Parameter {
	var all []function.Parameter
	for i := range n {
		all = append(all, function.Parameter{Name: fmt.Sprintf("p%d", i), Type: kind, AllowNull: true, AllowDynamicType: true})
	}
	return all
}

func textFunc(n int, f func([]string) string) function.Function {
	return function.New(&function.Spec{Params: parameters(n, cty.String), Type: function.StaticReturnType(cty.String), Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
		var texts []string
		for _, arg := range args {
			texts = append(texts, arg.AsString())
		}
		return cty.StringVal(f(texts)), nil
	}})
}

func testFunc(f func(a, b string) bool) function.Function {
	return function.New(&function.Spec{Params: parameters(2, cty.String), Type: function.StaticReturnType(cty.Bool), Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
		if args[0].IsNull() || args[1].IsNull() {
			return cty.NilVal, errors.New("a text must not be null")
		}
		return cty.BoolVal(f(args[0].AsString(), args[1].AsString())), nil
	}})
}

// replaceFunc takes a pattern between slashes as a regular expression.
var replaceFunc = textFunc(3, func(a []string) string {
	if len(a[1]) > 1 && strings.HasPrefix(a[1], "/") && strings.HasSuffix(a[1], "/") {
		return regexp.MustCompile(a[1][1:len(a[1])-1]).ReplaceAllString(a[0], a[2])
	}
	return strings.ReplaceAll(a[0], a[1], a[2])
})

// lengthFunc knows texts as well.
var lengthFunc = function.New(&function.Spec{Params: parameters(1, cty.DynamicPseudoType), Type: function.StaticReturnType(cty.Number), Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
	if args[0].Type() == cty.String {
		return stdlib.Strlen(args[0])
	}
	if args[0].Type().IsObjectType() {
		return cty.NumberIntVal(int64(len(args[0].Type().AttributeTypes()))), nil
	}
	return args[0].Length(), nil
}})

var allTrueFunc = function.New(&function.Spec{Params: parameters(1, cty.List(cty.Bool)), Type: function.StaticReturnType(cty.Bool), Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
	for it := args[0].ElementIterator(); it.Next(); {
		if _, v := it.Element(); v.IsNull() || v.False() {
			return cty.False, nil
		}
	}
	return cty.True, nil
}})

var oneFunc = function.New(&function.Spec{Params: parameters(1, cty.DynamicPseudoType), Type: function.StaticReturnType(cty.DynamicPseudoType), Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
	switch args[0].LengthInt() {
	case 0:
		return cty.NullVal(cty.DynamicPseudoType), nil
	case 1:
		it := args[0].ElementIterator()
		it.Next()
		_, v := it.Element()
		return v, nil
	}
	return cty.NilVal, errors.New("one() is for lists of one element at most")
}})

var indexFunc = function.New(&function.Spec{Params: parameters(2, cty.DynamicPseudoType), Type: function.StaticReturnType(cty.Number), Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
	for it := args[0].ElementIterator(); it.Next(); {
		if k, v := it.Element(); v.RawEquals(args[1]) {
			return k, nil
		}
	}
	return cty.NilVal, errors.New("item not found")
}})

// templateFunc renders a file with the other functions at hand.
func templateFunc(others map[string]function.Function) function.Function {
	return function.New(&function.Spec{Params: []function.Parameter{{Name: "path", Type: cty.String}, {Name: "vars", Type: cty.DynamicPseudoType}}, Type: function.StaticReturnType(cty.String), Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
		file := args[0].AsString()
		text, err := os.ReadFile(file)
		if err != nil {
			return cty.NilVal, err
		}
		template, diags := hclsyntax.ParseTemplate(text, file, hcl.InitialPos)
		if diags.HasErrors() {
			return cty.NilVal, diags
		}
		value, diags := template.Value(&hcl.EvalContext{Variables: args[1].AsValueMap(), Functions: others})
		if diags.HasErrors() {
			return cty.NilVal, diags
		}
		return convert.Convert(value, cty.String)
	}})
}
