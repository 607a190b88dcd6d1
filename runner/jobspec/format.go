package jobspec

import "github.com/hashicorp/hcl/v2/hclwrite"

// Format lays a job file out in the canonical way: indentation, spaces and
// aligned equals signs; comments and line breaks stay. Text that is no HCL is
// formatted as far as it goes. Formatting twice changes nothing.
func Format(src []byte) []byte { return hclwrite.Format(src) }
