package jobspec

import (
	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/hashicorp/hcl/v2/hclwrite"
)

// Format lays a job file out in the canonical way: indentation, spaces and
// aligned equals signs; comments and line breaks stay. Text that is no HCL is
// formatted as far as it goes, so look at Syntax first. Formatting twice
// changes nothing.
func Format(src []byte) []byte { return hclwrite.Format(src) }

// Syntax tells what is wrong with the syntax of a job file: whether it is HCL,
// not what it says. name is the file's as diagnostics have it.
func Syntax(name string, src []byte) Diagnostics {
	_, list := hclsyntax.ParseConfig(src, name, hcl.InitialPos)
	return Diagnostics{List: list, Sources: map[string][]byte{name: src}}
}
