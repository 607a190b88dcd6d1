package job

import (
	"fmt"
	"strconv"
	"strings"
)

// String is the condition as a job file would have it.
func (c *Condition) String() string {
	switch {
	case c.Result != nil:
		return c.Result.String()
	case c.Op == OpNot && len(c.Args) == 1:
		return "!" + c.Args[0].within()
	case c.Op != "":
		parts := make([]string, len(c.Args))
		for i := range c.Args {
			parts[i] = c.Args[i].within()
		}
		return strings.Join(parts, " "+string(c.Op)+" ")
	}
	if text, ok := c.Value.(string); ok {
		return strconv.Quote(text)
	}
	return fmt.Sprint(c.Value)
}

// within is the condition as a part of another.
func (c *Condition) within() string {
	if c.Op != "" && c.Op != OpNot {
		return "(" + c.String() + ")"
	}
	return c.String()
}

// String is the reference as a job file would have it; of a task that is no
// array the index is left out.
func (r *ResultRef) String() string {
	if r.Index == 0 {
		return fmt.Sprintf("task.%s.result.%s", r.Task, r.Key)
	}
	return fmt.Sprintf("task.%s[%d].result.%s", r.Task, r.Index, r.Key)
}
