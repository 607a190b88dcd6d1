package jobspec

import (
	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

// scope is where an expression stands: what it may refer to.
type scope struct {
	ctx *hcl.EvalContext
	// array is what indexes the task: "count", "each" or "".
	array string
	// indexed: the expression is evaluated for each index.
	indexed bool
	// task that the expression belongs to, where it may refer to the outputs
	// of other tasks; else nil.
	task *task
	// constant: nothing may be referred to.
	constant bool
}

// sensitiveMark is on what came from a sensitive variable.
type sensitiveMark struct{}

// evaluate gives an expression's value in a scope. Whatever is wrong is
// reported, and the value is unknown then; callers pass over unknown values.
func (l *loader) evaluate(expr hcl.Expression, s scope) cty.Value {
	native, ok := expr.(hclsyntax.Expression)
	if !ok { // of a JSON file: literal
		value, diags := expr.Value(nil)
		l.adopt(diags, expr.Range())
		return value
	}
	refs := l.referencesOf(native)
	if !l.checkReferences(refs, s) {
		return cty.DynamicVal
	}
	ctx := s.ctx
	if len(refs.tasks)+len(refs.inputs) > 0 {
		ctx = l.withTasks(refs, s)
		if ctx == nil {
			return cty.DynamicVal
		}
	}
	return l.value(native, ctx)
}

// value evaluates an expression whose references were checked.
func (l *loader) value(expr hclsyntax.Expression, ctx *hcl.EvalContext) cty.Value {
	value, diags := expr.Value(ctx)
	if diags.HasErrors() {
		l.adopt(withoutSecrets(diags), expr.Range())
		return cty.DynamicVal
	}
	return value
}

// withoutSecrets hides details of evaluation errors that may quote a
// sensitive value.
func withoutSecrets(diags hcl.Diagnostics) hcl.Diagnostics {
	for i, diag := range diags {
		if diag.Expression == nil || diag.EvalContext == nil || !touchesSecret(diag) {
			continue
		}
		hidden := *diag
		hidden.Detail = "The details are left out because a sensitive variable is part of it."
		diags[i] = &hidden
	}
	return diags
}

func touchesSecret(diag *hcl.Diagnostic) bool {
	for _, traversal := range diag.Expression.Variables() {
		value, problems := traversal.TraverseAbs(diag.EvalContext)
		if problems.HasErrors() {
			continue
		}
		_, marks := value.UnmarkDeep()
		if _, secret := marks[sensitiveMark{}]; secret {
			return true
		}
	}
	return false
}

// plain is a value without its marks, and whether it is sensitive. Reports a
// value that holds an output of a task, which is known only on the instance.
func (l *loader) plain(value cty.Value, where hcl.Range) (cty.Value, bool) {
	value, marks := value.UnmarkDeep()
	for mark := range marks {
		if mark, input := mark.(inputMark); input {
			l.notKnownYet(mark, where)
			return cty.DynamicVal, false
		}
	}
	_, secret := marks[sensitiveMark{}]
	return value, secret
}
