package plan

import (
	"fmt"
	"strconv"

	"github.com/spotrelay/spotrelay/runner/job"
)

// holds reports whether a condition is true. A fault says why that cannot be
// told: a result that was not written, or is no number where one is compared.
func (s *State) holds(c *job.Condition) (holds bool, fault string) {
	switch c.Op {
	case job.OpAnd, job.OpOr:
		for i := range c.Args {
			holds, fault = s.holds(&c.Args[i])
			if fault != "" || holds == (c.Op == job.OpOr) {
				return holds, fault
			}
		}
		return holds, ""
	case job.OpNot:
		for i := range c.Args {
			holds, fault = s.holds(&c.Args[i])
		}
		return !holds && fault == "", fault
	case "":
		return s.truth(c)
	}
	if len(c.Args) != 2 {
		return false, "its condition is malformed: " + c.String()
	}
	return s.compare(c)
}

// operand is a side of a comparison.
type operand struct {
	of     *job.Condition
	value  any  // string, float64 or bool
	absent bool // the result of a task that did not succeed
}

func (s *State) operand(c *job.Condition) (operand, string) {
	switch {
	case c.Op != "":
		holds, fault := s.holds(c)
		return operand{of: c, value: holds}, fault
	case c.Result == nil:
		return operand{of: c, value: c.Value}, ""
	}
	text, fault := s.result(*c.Result)
	r, ok := s.locate(c.Result.Task, c.Result.Index)
	return operand{of: c, value: text, absent: ok && s.at(r).Phase != IndexSucceeded}, fault
}

// truth is a leaf that stands for itself.
func (s *State) truth(c *job.Condition) (bool, string) {
	o, fault := s.operand(c)
	switch {
	case fault != "" || o.absent:
		return false, fault
	case o.text() == "true", o.text() == "false":
		return o.text() == "true", ""
	}
	return false, fmt.Sprintf("its condition takes %s as true or false, and it is %q", c, o.text())
}

// compare compares as numbers where an order is asked for or one side is a
// number, else as texts.
func (s *State) compare(c *job.Condition) (bool, string) {
	a, fault := s.operand(&c.Args[0])
	if fault != "" {
		return false, fault
	}
	b, fault := s.operand(&c.Args[1])
	if fault != "" {
		return false, fault
	}
	x, isX := a.number()
	y, isY := b.number()
	if c.Op == job.OpEqual || c.Op == job.OpNotEqual {
		equal := a.text() == b.text()
		if a.isNumber() || b.isNumber() {
			equal = isX && isY && x == y
		}
		return equal == (c.Op == job.OpEqual), ""
	}
	switch {
	case a.absent || b.absent:
		return false, ""
	case !isX:
		return false, a.noNumber()
	case !isY:
		return false, b.noNumber()
	}
	switch c.Op {
	case job.OpLess:
		return x < y, ""
	case job.OpLessEqual:
		return x <= y, ""
	case job.OpGreater:
		return x > y, ""
	case job.OpGreaterEqual:
		return x >= y, ""
	}
	return false, "its condition has an operation that this version does not know: " + c.String()
}

func (o operand) isNumber() bool {
	_, is := o.value.(float64)
	return is
}

func (o operand) number() (float64, bool) {
	if number, is := o.value.(float64); is {
		return number, true
	}
	number, err := strconv.ParseFloat(o.text(), 64)
	return number, err == nil
}

func (o operand) noNumber() string {
	return fmt.Sprintf("its condition compares %s as a number, and it is %q", o.of, o.text())
}

func (o operand) text() string {
	if number, is := o.value.(float64); is {
		return strconv.FormatFloat(number, 'g', -1, 64)
	}
	return fmt.Sprint(o.value)
}
