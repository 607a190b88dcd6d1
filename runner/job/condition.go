package job

// Condition is an expression over the results of other tasks. It is a tree:
// leaves are a Value or a Result, the others have an Op and Args.
type Condition struct {
	Op   Op          `json:"op,omitempty"`
	Args []Condition `json:"args,omitempty"`
	// Value of a leaf: a string, float64 or bool.
	Value any `json:"value,omitempty"`
	// Result of a leaf: a value that a task wrote.
	Result *ResultRef `json:"result,omitempty"`
}

// Op joins the Args of a Condition.
type Op string

// The operations, as HCL has them.
const (
	OpEqual        Op = "=="
	OpNotEqual     Op = "!="
	OpLess         Op = "<"
	OpLessEqual    Op = "<="
	OpGreater      Op = ">"
	OpGreaterEqual Op = ">="
	OpAnd          Op = "&&"
	OpOr           Op = "||"
	OpNot          Op = "!"
)

// ResultRef names a value that a task wrote to its result file.
type ResultRef struct {
	Task  string `json:"task"`
	Index int    `json:"index"`
	Key   string `json:"key"`
}
