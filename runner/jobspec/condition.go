package jobspec

import (
	"fmt"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"

	"github.com/spotrelay/spotrelay/runner/job"
)

// operations of a condition, as HCL has them.
var operations = map[*hclsyntax.Operation]job.Op{
	hclsyntax.OpEqual: job.OpEqual, hclsyntax.OpNotEqual: job.OpNotEqual,
	hclsyntax.OpLessThan: job.OpLess, hclsyntax.OpLessThanOrEqual: job.OpLessEqual,
	hclsyntax.OpGreaterThan: job.OpGreater, hclsyntax.OpGreaterThanOrEqual: job.OpGreaterEqual,
	hclsyntax.OpLogicalAnd: job.OpAnd, hclsyntax.OpLogicalOr: job.OpOr,
}

const formOfCondition = `A condition compares results of tasks, such as task.check.result.ok == "yes", by ==, !=, <, <=, > and >=, joined by &&, || and !, with parentheses. What holds no result of a task may be any expression.`

// readCondition compiles a task's when; nil when there is none, or after a
// report.
func (l *loader) readCondition(t *task) *job.Condition {
	st := l.setting(taskSchema, "when", scope{ctx: l.ctx, task: t}, t.c)
	if !st.given() {
		return nil
	}
	expr := asNative(st.expr)
	if expr == nil {
		st.invalid(st.where, "a condition is an expression")
		return nil
	}
	c, ok := l.condition(st, expr)
	if !ok || !l.isTruth(st, expr, c) {
		return nil
	}
	return c
}

// condition compiles an expression. False after a report.
func (l *loader) condition(st setting, expr hclsyntax.Expression) (*job.Condition, bool) {
	refs := l.referencesOf(expr)
	if len(refs.tasks) == 0 {
		return l.literal(st, expr)
	}
	switch expr := expr.(type) {
	case *hclsyntax.ParenthesesExpr:
		return l.condition(st, expr.Expression)
	case *hclsyntax.TemplateWrapExpr: // "${task.x.result.y}"
		return l.condition(st, expr.Wrapped)
	case *hclsyntax.ScopeTraversalExpr, *hclsyntax.RelativeTraversalExpr:
		return l.resultLeaf(st, refs.tasks[0])
	case *hclsyntax.UnaryOpExpr:
		if arg, ok := l.condition(st, expr.Val); expr.Op == hclsyntax.OpLogicalNot {
			return &job.Condition{Op: job.OpNot, Args: deref(arg)}, ok && l.isTruth(st, expr.Val, arg)
		}
	case *hclsyntax.BinaryOpExpr:
		if op, known := operations[expr.Op]; known {
			return l.operation(st, op, expr)
		}
	}
	l.report(report{at: expr.Range(), summary: "Not a condition", detail: formOfCondition})
	return nil, false
}

func deref(c *job.Condition) []job.Condition {
	if c == nil {
		return nil
	}
	return []job.Condition{*c}
}

func (l *loader) operation(st setting, op job.Op, expr *hclsyntax.BinaryOpExpr) (*job.Condition, bool) {
	left, leftOK := l.condition(st, expr.LHS)
	right, rightOK := l.condition(st, expr.RHS)
	if !leftOK || !rightOK {
		return nil, false
	}
	ok := true
	switch op {
	case job.OpAnd, job.OpOr:
		ok = l.isTruth(st, expr.LHS, left)
		ok = l.isTruth(st, expr.RHS, right) && ok
	case job.OpLess, job.OpLessEqual, job.OpGreater, job.OpGreaterEqual:
		ok = l.isNumber(expr.LHS, left)
		ok = l.isNumber(expr.RHS, right) && ok
	}
	return &job.Condition{Op: op, Args: []job.Condition{*left, *right}}, ok
}

// literal evaluates what holds no result.
func (l *loader) literal(st setting, expr hclsyntax.Expression) (*job.Condition, bool) {
	value, secret := l.plain(l.evaluate(expr, st.scope), expr.Range())
	switch {
	case !value.IsWhollyKnown():
		return nil, false
	case value.IsNull() || !value.Type().IsPrimitiveType():
		l.report(report{at: expr.Range(), summary: "Not a condition", detail: fmt.Sprintf("A result is compared with a text, a number or a bool; this is %s.", describe(value, secret))})
		return nil, false
	case value.Type() == cty.Number:
		number, _ := value.AsBigFloat().Float64()
		return &job.Condition{Value: number}, true
	case value.Type() == cty.Bool:
		return &job.Condition{Value: value.True()}, true
	}
	return &job.Condition{Value: value.AsString()}, true
}

// resultLeaf is a reference to a result.
func (l *loader) resultLeaf(st setting, ref taskReference) (*job.Condition, bool) {
	if ref.fault == "" && ref.result == "" {
		ref.fault = "A condition is decided by results, task.NAME.result.KEY; an output is known on the instance alone."
	}
	if !l.checkTaskReference(ref, st.scope) {
		return nil, false
	}
	index, key := 0, ref.key
	if ref.expr != nil {
		key, _ = l.plain(l.evaluate(ref.expr, scope{ctx: l.ctx}), ref.expr.Range())
		if !key.IsKnown() {
			return nil, false
		}
	}
	if key != cty.NilVal {
		var ok bool
		if index, ok = l.indexOf(l.tasks[ref.name], key, ref.at); !ok {
			return nil, false
		}
	}
	return &job.Condition{Result: &job.ResultRef{Task: ref.name, Index: index, Key: ref.result}}, true
}

// isTruth reports a part that is neither true nor false.
func (l *loader) isTruth(st setting, expr hclsyntax.Expression, c *job.Condition) bool {
	if c == nil {
		return false
	}
	if _, truth := c.Value.(bool); truth || c.Op != "" || c.Result != nil {
		return true
	}
	l.report(report{at: expr.Range(), summary: "Neither true nor false", detail: fmt.Sprintf("%q is decided by what is true or false; this is %s.", st.schema.name, c)})
	return false
}

// isNumber reports a part that has no order.
func (l *loader) isNumber(expr hclsyntax.Expression, c *job.Condition) bool {
	if _, number := c.Value.(float64); number || c.Result != nil {
		return true
	}
	l.report(report{at: expr.Range(), summary: "Not a number", detail: "By <, <=, > and >= numbers are compared, and results that are numbers."})
	return false
}

// readFlow reads what decides whether a task runs and what its failure means.
func (l *loader) readFlow(t *task, s scope, out *job.Task) {
	out.When = l.readCondition(t)
	out.AllowFailure, _ = l.setting(taskSchema, "allow_failure", s, t.c).boolean()
	out.Finally, _ = l.setting(taskSchema, "finally", s, t.c).boolean()
}

// checkFinally reports tasks that wait for what runs after them, and a job of
// nothing but tasks that run finally.
func (l *loader) checkFinally(tasks map[string]job.Task) {
	var main bool
	var last hcl.Range
	for _, t := range l.taskOrder {
		main = main || !tasks[t.name].Finally
		if tasks[t.name].Finally {
			last = t.c.attrs["finally"].Range()
			continue
		}
		for _, edge := range t.edges {
			if tasks[edge.to].Finally {
				leave := l.within(t.c.title())
				l.report(report{at: edge.at, summary: fmt.Sprintf("Task %q runs finally", edge.to),
					detail: fmt.Sprintf("It runs when all other tasks have ended, so %q would never run. Only tasks with finally = true may wait for it.", t.name)})
				leave()
			}
		}
	}
	if !main && len(l.taskOrder) > 0 {
		l.report(report{at: last, summary: "All tasks run finally", detail: "A task with finally = true runs when all others have ended; there is none. Remove it from one."})
	}
}
