package jobspec

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
	"unicode/utf8"

	"github.com/bmatcuk/doublestar/v4"
	"github.com/hashicorp/go-cty-funcs/cidr"
	"github.com/hashicorp/go-cty-funcs/crypto"
	"github.com/hashicorp/go-cty-funcs/encoding"
	"github.com/hashicorp/hcl/v2/ext/tryfunc"
	"github.com/hashicorp/hcl/v2/ext/typeexpr"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"
	"github.com/zclconf/go-cty/cty/function/stdlib"
)

// impure are functions that Terraform has and that would make a job file give
// another run each time it is read.
var impure = map[string]string{
	"timestamp":     "A job file gives the same run whenever it is read, so it cannot ask for the time. Give it as a variable.",
	"plantimestamp": "A job file gives the same run whenever it is read, so it cannot ask for the time. Give it as a variable.",
	"uuid":          "A job file gives the same run whenever it is read, so it cannot use chance. A run has an id of its own in SPOTRELAY_RUN_ID.",
	"bcrypt":        "A job file gives the same run whenever it is read, so it cannot use chance.",
	"env":           "The environment cannot be read: declare a variable and set it by SPOTRELAY_VAR_name.",
	"getenv":        "The environment cannot be read: declare a variable and set it by SPOTRELAY_VAR_name.",
	"abspath":       "Absolute paths differ by machine. Paths are relative to the job file.",
	"pathexpand":    "Home folders differ by machine. Paths are relative to the job file.",
	"templatefile":  "There is no templatefile. Use file and replace, or a template in the job file.",
}

// functionsFor are the functions of a job file; paths are below folder.
func functionsFor(folder string) map[string]function.Function {
	functions := map[string]function.Function{
		"file":       fileFunction(folder, false),
		"filebase64": fileFunction(folder, true),
		"fileexists": fileExistsFunction(folder),
		"fileset":    fileSetFunction(folder),
	}
	for name, f := range pureFunctions {
		functions[name] = f
	}
	return functions
}

var pureFunctions = map[string]function.Function{
	// sweeps
	"matrix": matrixFunction,
	// numbers
	"abs": stdlib.AbsoluteFunc, "ceil": stdlib.CeilFunc, "floor": stdlib.FloorFunc, "log": stdlib.LogFunc,
	"max": stdlib.MaxFunc, "min": stdlib.MinFunc, "parseint": stdlib.ParseIntFunc, "pow": stdlib.PowFunc, "signum": stdlib.SignumFunc,
	// text
	"chomp": stdlib.ChompFunc, "endswith": textTest(strings.HasSuffix), "format": stdlib.FormatFunc, "formatlist": stdlib.FormatListFunc,
	"indent": stdlib.IndentFunc, "join": stdlib.JoinFunc, "lower": stdlib.LowerFunc, "regex": stdlib.RegexFunc, "regexall": stdlib.RegexAllFunc,
	"replace": stdlib.ReplaceFunc, "split": stdlib.SplitFunc, "startswith": textTest(strings.HasPrefix), "strcontains": textTest(strings.Contains),
	"strlen": stdlib.StrlenFunc, "strrev": stdlib.ReverseFunc, "substr": stdlib.SubstrFunc, "title": stdlib.TitleFunc, "trim": stdlib.TrimFunc,
	"trimprefix": stdlib.TrimPrefixFunc, "trimspace": stdlib.TrimSpaceFunc, "trimsuffix": stdlib.TrimSuffixFunc, "upper": stdlib.UpperFunc,
	// lists and maps
	"alltrue": truths(true), "anytrue": truths(false), "chunklist": stdlib.ChunklistFunc, "coalesce": stdlib.CoalesceFunc,
	"coalescelist": stdlib.CoalesceListFunc, "compact": stdlib.CompactFunc, "concat": stdlib.ConcatFunc, "contains": stdlib.ContainsFunc,
	"distinct": stdlib.DistinctFunc, "element": stdlib.ElementFunc, "flatten": stdlib.FlattenFunc, "keys": stdlib.KeysFunc, "length": lengthFunction,
	"lookup": stdlib.LookupFunc, "merge": stdlib.MergeFunc, "range": stdlib.RangeFunc, "reverse": stdlib.ReverseListFunc,
	"setintersection": stdlib.SetIntersectionFunc, "setproduct": stdlib.SetProductFunc, "setsubtract": stdlib.SetSubtractFunc,
	"setunion": stdlib.SetUnionFunc, "slice": stdlib.SliceFunc, "sort": stdlib.SortFunc, "sum": sumFunction, "values": stdlib.ValuesFunc, "zipmap": stdlib.ZipmapFunc,
	// conversions and encodings
	"base64decode": encoding.Base64DecodeFunc, "base64encode": encoding.Base64EncodeFunc, "csvdecode": stdlib.CSVDecodeFunc,
	"jsondecode": stdlib.JSONDecodeFunc, "jsonencode": stdlib.JSONEncodeFunc, "urlencode": encoding.URLEncodeFunc,
	"tobool": conversion(cty.Bool), "tolist": conversion(cty.List(cty.DynamicPseudoType)), "tomap": conversion(cty.Map(cty.DynamicPseudoType)),
	"tonumber": conversion(cty.Number), "toset": conversion(cty.Set(cty.DynamicPseudoType)), "tostring": conversion(cty.String),
	// digests, networks, times
	"md5": crypto.Md5Func, "sha1": crypto.Sha1Func, "sha256": crypto.Sha256Func, "sha512": crypto.Sha512Func,
	"cidrhost": cidr.HostFunc, "cidrnetmask": cidr.NetmaskFunc, "cidrsubnet": cidr.SubnetFunc, "cidrsubnets": cidr.SubnetsFunc,
	"formatdate": stdlib.FormatDateFunc, "timeadd": stdlib.TimeAddFunc,
	// paths and faults
	"basename": pathFunction(path.Base), "dirname": pathFunction(path.Dir),
	"can": tryfunc.CanFunc, "try": tryfunc.TryFunc, "convert": typeexpr.ConvertFunc,
}

func conversion(to cty.Type) function.Function { return stdlib.MakeToFunc(to) }

// textTest is a function of two strings that gives a bool.
func textTest(test func(text, part string) bool) function.Function {
	return function.New(&function.Spec{
		Params: []function.Parameter{{Name: "text", Type: cty.String}, {Name: "part", Type: cty.String}},
		Type:   function.StaticReturnType(cty.Bool),
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			return cty.BoolVal(test(args[0].AsString(), args[1].AsString())), nil
		},
	})
}

func pathFunction(of func(string) string) function.Function {
	return function.New(&function.Spec{
		Params: []function.Parameter{{Name: "path", Type: cty.String}},
		Type:   function.StaticReturnType(cty.String),
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			return cty.StringVal(of(args[0].AsString())), nil
		},
	})
}

// truths is alltrue, or anytrue: whether all or any of a list are true.
func truths(all bool) function.Function {
	return function.New(&function.Spec{
		Params: []function.Parameter{{Name: "list", Type: cty.List(cty.Bool)}},
		Type:   function.StaticReturnType(cty.Bool),
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			for it := args[0].ElementIterator(); it.Next(); {
				_, element := it.Element()
				if !element.IsKnown() {
					return cty.UnknownVal(cty.Bool), nil
				}
				if truth := !element.IsNull() && element.True(); truth != all {
					return cty.BoolVal(!all), nil
				}
			}
			return cty.BoolVal(all), nil
		},
	})
}

var sumFunction = function.New(&function.Spec{
	Params: []function.Parameter{{Name: "list", Type: cty.List(cty.Number)}},
	Type:   function.StaticReturnType(cty.Number),
	Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
		total := cty.Zero
		for it := args[0].ElementIterator(); it.Next(); {
			_, element := it.Element()
			if element.IsNull() {
				return cty.NilVal, errors.New("the list holds a null")
			}
			total = total.Add(element)
		}
		return total, nil
	},
})

// lengthFunction counts elements, or the characters of a text.
var lengthFunction = function.New(&function.Spec{
	Params: []function.Parameter{{Name: "value", Type: cty.DynamicPseudoType, AllowDynamicType: true, AllowUnknown: true}},
	Type: func(args []cty.Value) (cty.Type, error) {
		ty := args[0].Type()
		if ty == cty.String || ty == cty.DynamicPseudoType || ty.IsTupleType() || ty.IsObjectType() || ty.IsCollectionType() {
			return cty.Number, nil
		}
		return cty.NilType, errors.New("it has a length only if it is text, a list, a set or a map")
	},
	Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
		value := args[0]
		switch {
		case !value.IsKnown():
			return cty.UnknownVal(cty.Number), nil
		case value.Type() == cty.String:
			return stdlib.Strlen(value)
		}
		return cty.NumberIntVal(int64(value.LengthInt())), nil
	},
})

const maxFunctionFile = 1 << 20

// errOutside says that a path leaves the job file's folder.
var errOutside = errors.New("a path in a job file stays in the folder of the job file: it is relative and never goes up by two dots")

// inFolder opens the folder so that no path and no link leads out of it.
func inFolder(folder, name string, use func(root *os.Root, name string) error) error {
	clean := path.Clean(strings.ReplaceAll(name, `\`, "/"))
	if !fs.ValidPath(clean) {
		return fmt.Errorf("%q: %w", name, errOutside)
	}
	root, err := os.OpenRoot(folder)
	if err != nil {
		return err
	}
	defer root.Close()
	return use(root, clean)
}

func readInFolder(folder, name string) (text []byte, err error) {
	err = inFolder(folder, name, func(root *os.Root, name string) error {
		info, err := root.Stat(name)
		if err != nil {
			return fmt.Errorf("cannot read the file: %w", err)
		}
		if !info.Mode().IsRegular() {
			return fmt.Errorf("%s is not a regular file", name)
		}
		file, err := root.Open(name)
		if err != nil {
			return fmt.Errorf("cannot read the file: %w", err)
		}
		defer file.Close()
		text, err = io.ReadAll(io.LimitReader(file, maxFunctionFile+1))
		if err == nil && len(text) > maxFunctionFile {
			return fmt.Errorf("%s is larger than %d bytes; send large files with the workdir", name, maxFunctionFile)
		}
		return err
	})
	return text, err
}

func fileFunction(folder string, encode bool) function.Function {
	return function.New(&function.Spec{
		Params: []function.Parameter{{Name: "path", Type: cty.String}},
		Type:   function.StaticReturnType(cty.String),
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			text, err := readInFolder(folder, args[0].AsString())
			if err != nil {
				return cty.NilVal, err
			}
			if encode {
				return cty.StringVal(base64.StdEncoding.EncodeToString(text)), nil
			}
			if !utf8.Valid(text) {
				return cty.NilVal, fmt.Errorf("%s is no UTF-8 text; use filebase64", args[0].AsString())
			}
			return cty.StringVal(string(bytes.TrimPrefix(text, []byte("\xef\xbb\xbf")))), nil
		},
	})
}

func fileExistsFunction(folder string) function.Function {
	return function.New(&function.Spec{
		Params: []function.Parameter{{Name: "path", Type: cty.String}},
		Type:   function.StaticReturnType(cty.Bool),
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			exists := false
			err := inFolder(folder, args[0].AsString(), func(root *os.Root, name string) error {
				info, err := root.Stat(name)
				exists = err == nil && info.Mode().IsRegular()
				if errors.Is(err, fs.ErrNotExist) {
					return nil
				}
				return err
			})
			return cty.BoolVal(exists), err
		},
	})
}

func fileSetFunction(folder string) function.Function {
	return function.New(&function.Spec{
		Params: []function.Parameter{{Name: "pattern", Type: cty.String}},
		Type:   function.StaticReturnType(cty.Set(cty.String)),
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			var names []cty.Value
			err := inFolder(folder, args[0].AsString(), func(root *os.Root, pattern string) error {
				found, err := doublestar.Glob(root.FS(), pattern, doublestar.WithFilesOnly(), doublestar.WithNoFollow())
				for _, name := range found {
					names = append(names, cty.StringVal(name))
				}
				return err
			})
			if err != nil || len(names) == 0 {
				return cty.SetValEmpty(cty.String), err
			}
			return cty.SetVal(names), nil
		},
	})
}
