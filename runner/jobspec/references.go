package jobspec

import (
	"fmt"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"

	"github.com/spotrelay/spotrelay/runner/job"
)

// references are what an expression refers to, found without evaluating it.
type references struct {
	free  []hcl.Traversal // outside the expression's own for-names, without tasks
	tasks []taskReference
	// inputs from outside.
	inputs []inputReference
	calls  []*hclsyntax.FunctionCallExpr
	// byIndex: the value differs by index (count or each is used).
	byIndex bool
	// peeks are operations that would look into an output's name.
	peeks []peek
	// selects: a part of the value may be left out on purpose, by a condition
	// or a function such as element.
	selects bool
}

// peek is an operation on what is not known yet.
type peek struct {
	at   hcl.Range
	mark inputMark
}

// carriers are the functions that pass text on as it is, so that an output's
// name, which is not known yet, may be among their arguments.
var carriers = []string{
	"chunklist", "coalesce", "coalescelist", "compact", "concat", "convert", "element", "flatten", "format", "formatlist", "indent", "join", "jsonencode",
	"lookup", "merge", "reverse", "slice", "tolist", "tomap", "tostring", "try", "values", "zipmap",
}

// selectors are those carriers that may leave some of it out.
var selectors = []string{"coalesce", "coalescelist", "compact", "element", "lookup", "merge", "slice", "try"}

// taskReference is a use of another task's output or result.
type taskReference struct {
	name   string // "" when it names no task
	at     hcl.Range
	whole  bool                 // task.x.output
	key    cty.Value            // task.x[3].output; NilVal otherwise
	expr   hclsyntax.Expression // task.x[count.index].output; nil otherwise
	result string               // task.x.result.KEY: the key; "" for the output
	fault  string               // what is wrong with its form
}

// referencesOf analyses an expression, once.
func (l *loader) referencesOf(expr hclsyntax.Expression) *references {
	if known, ok := l.analysed[expr]; ok {
		return known
	}
	finder := &referenceFinder{refs: &references{}, handled: map[hclsyntax.Node]bool{}, after: map[hclsyntax.Node]hcl.Traversal{}}
	_ = hclsyntax.Walk(expr, finder) // the finder reports nothing
	l.analysed[expr] = finder.refs
	return finder.refs
}

// referenceFinder walks an expression.
type referenceFinder struct {
	refs    *references
	scopes  []map[string]struct{}
	handled map[hclsyntax.Node]bool
	after   map[hclsyntax.Node]hcl.Traversal // what follows task.x[expression]
}

// Enter notes what a node refers to.
func (f *referenceFinder) Enter(node hclsyntax.Node) hcl.Diagnostics {
	switch node := node.(type) {
	case hclsyntax.ChildScope:
		f.scopes = append(f.scopes, node.LocalNames)
	case *hclsyntax.FunctionCallExpr:
		f.refs.calls = append(f.refs.calls, node)
		f.refs.selects = f.refs.selects || slices.Contains(selectors, node.Name)
		if !slices.Contains(carriers, node.Name) {
			for _, arg := range node.Args {
				f.notePeek(node.Range(), arg)
			}
		}
	case *hclsyntax.ConditionalExpr:
		f.refs.selects = true
		f.notePeek(node.Condition.Range(), node.Condition)
	case *hclsyntax.BinaryOpExpr:
		f.notePeek(node.Range(), node.LHS, node.RHS)
	case *hclsyntax.ForExpr:
		f.refs.selects = f.refs.selects || node.CondExpr != nil
	case *hclsyntax.RelativeTraversalExpr:
		f.after[node.Source] = node.Traversal
	case *hclsyntax.IndexExpr:
		f.enterIndex(node)
	case *hclsyntax.SplatExpr:
		if source, ok := f.taskTraversal(node.Source); ok {
			f.handled[source] = true
			f.refs.tasks = append(f.refs.tasks, taskReference{name: taskName(source.Traversal), at: node.Range(),
				fault: "task.NAME.output is the folder that holds the outputs of all indexes; there is no list of them."})
		}
	case *hclsyntax.ScopeTraversalExpr:
		if !f.handled[node] && !f.shadowed(node.Traversal.RootName()) {
			f.enterTraversal(node)
		}
	}
	return nil
}

// Exit leaves a for-expression's names.
func (f *referenceFinder) Exit(node hclsyntax.Node) hcl.Diagnostics {
	if _, ok := node.(hclsyntax.ChildScope); ok {
		f.scopes = f.scopes[:len(f.scopes)-1]
	}
	return nil
}

// notePeek notes an operation if an output is among its operands.
func (f *referenceFinder) notePeek(where hcl.Range, operands ...hclsyntax.Expression) {
	for _, operand := range operands {
		for _, traversal := range operand.Variables() {
			switch root := traversal.RootName(); {
			case f.shadowed(root):
			case root == "task":
				f.refs.peeks = append(f.refs.peeks, peek{where, inputMark{task: taskName(traversal), result: taskReferenceOf(traversal).result}})
				return
			case root == "input":
				f.refs.peeks = append(f.refs.peeks, peek{where, inputMark{task: taskName(traversal), index: fromOutside}})
				return
			}
		}
	}
}

func (f *referenceFinder) shadowed(name string) bool {
	return slices.ContainsFunc(f.scopes, func(names map[string]struct{}) bool {
		_, ok := names[name]
		return ok
	})
}

func (f *referenceFinder) taskTraversal(expr hclsyntax.Expression) (*hclsyntax.ScopeTraversalExpr, bool) {
	traversal, ok := expr.(*hclsyntax.ScopeTraversalExpr)
	return traversal, ok && traversal.Traversal.RootName() == "task" && !f.shadowed("task")
}

// enterIndex notes task.x[expression].
func (f *referenceFinder) enterIndex(node *hclsyntax.IndexExpr) {
	source, ok := f.taskTraversal(node.Collection)
	if !ok {
		return
	}
	f.handled[source] = true
	ref := taskReference{name: taskName(source.Traversal), at: node.Range(), expr: node.Key}
	if len(source.Traversal) != 2 {
		ref.fault = formOfTask
	}
	if after, ok := f.after[node]; ok {
		ref.result, ok = madeBy(after)
		if !ok {
			ref.fault = formOfTask
		}
		ref.at = hcl.RangeBetween(node.Range(), after.SourceRange())
	}
	for _, traversal := range node.Key.Variables() {
		if f.shadowed(traversal.RootName()) {
			ref.fault = "The index of a task cannot use the names of a for expression."
		}
	}
	f.refs.tasks = append(f.refs.tasks, ref)
}

const formOfTask = "A task is referred to as task.NAME.output or task.NAME.result.KEY, or task.NAME[INDEX].output for one index of an array; alone it stands in depends_on."

func (f *referenceFinder) enterTraversal(node *hclsyntax.ScopeTraversalExpr) {
	traversal := node.Traversal
	switch traversal.RootName() {
	case "task":
		f.refs.tasks = append(f.refs.tasks, taskReferenceOf(traversal))
		return
	case "input":
		f.refs.inputs = append(f.refs.inputs, inputReference{taskName(traversal), traversal.SourceRange(), len(traversal) == 2})
		return
	case "count", "each":
		f.refs.byIndex = true
	}
	f.refs.free = append(f.refs.free, traversal)
}

func taskReferenceOf(traversal hcl.Traversal) taskReference {
	ref := taskReference{name: taskName(traversal), at: traversal.SourceRange()}
	rest := traversal[min(2, len(traversal)):]
	ref.whole = true
	if len(rest) > 1 {
		if index, ok := rest[0].(hcl.TraverseIndex); ok {
			ref.key, ref.whole = index.Key, false
			rest = rest[1:]
		}
	}
	var ok bool
	if ref.result, ok = madeBy(rest); !ok || ref.name == "" {
		ref.fault = formOfTask
	}
	return ref
}

// madeBy reads .output or .result.KEY, whether it is one of them, and the key.
func madeBy(rest hcl.Traversal) (result string, ok bool) {
	if len(rest) == 1 {
		return "", attrName(rest[0]) == "output"
	}
	if len(rest) != 2 || attrName(rest[0]) != "result" {
		return "", false
	}
	result = attrName(rest[1])
	if index, ok := rest[1].(hcl.TraverseIndex); ok && index.Key.Type() == cty.String {
		result = index.Key.AsString()
	}
	return result, job.IsResultKey(result)
}

func taskName(traversal hcl.Traversal) string {
	if len(traversal) < 2 {
		return ""
	}
	return attrName(traversal[1])
}

func attrName(step hcl.Traverser) string {
	if attr, ok := step.(hcl.TraverseAttr); ok {
		return attr.Name
	}
	return ""
}

// checkReferences reports references that cannot be resolved, with what was
// likely meant. False when there is one.
func (l *loader) checkReferences(refs *references, s scope) bool {
	ok := true
	for _, call := range refs.calls {
		ok = l.checkCall(call) && ok
	}
	for _, traversal := range refs.free {
		ok = l.checkTraversal(traversal, s) && ok
	}
	for _, ref := range refs.tasks {
		ok = l.checkTaskReference(ref, s) && ok
	}
	for _, ref := range refs.inputs {
		ok = l.checkInputReference(ref, s) && ok
	}
	if ok && len(refs.peeks) > 0 {
		l.notKnownYet(refs.peeks[0].mark, refs.peeks[0].at)
		return false
	}
	return ok
}

func (l *loader) checkCall(call *hclsyntax.FunctionCallExpr) bool {
	if _, known := l.functions[call.Name]; known {
		return true
	}
	r := report{at: call.NameRange, summary: fmt.Sprintf("Unknown function %q", call.Name),
		detail: "docs/job-file.md lists the functions."}
	if why, known := impure[call.Name]; known {
		r.detail = why
	} else {
		r.suggestion = nearest(call.Name, keysOf(l.functions))
	}
	l.report(r)
	return false
}

func (l *loader) checkTraversal(traversal hcl.Traversal, s scope) bool {
	root, where := traversal.RootName(), traversal.SourceRange()
	if s.constant {
		l.report(report{at: where, summary: "No references here", detail: "This value is a constant: it may not refer to variables or anything else."})
		return false
	}
	switch root {
	case "var":
		return l.checkMember(traversal, "variable", keysOf(l.variables))
	case "local":
		return l.checkMember(traversal, "local", keysOf(l.locals))
	case "job":
		return l.checkMember(traversal, "attribute of job", []string{"name"})
	case "count", "each":
		return l.checkIndex(root, traversal, s)
	}
	return l.unknownRoot(root, len(traversal) == 1, where)
}

func (l *loader) checkMember(traversal hcl.Traversal, what string, known []string) bool {
	root := traversal.RootName()
	name := ""
	if len(traversal) > 1 {
		name = attrName(traversal[1])
	}
	if name == "" {
		l.report(report{at: traversal.SourceRange(), summary: fmt.Sprintf("%q alone is no value", root), detail: fmt.Sprintf("Write %s.NAME.", root)})
		return false
	}
	if slices.Contains(known, name) {
		l.used[root+"."+name] = true
		return true
	}
	r := report{at: hcl.RangeBetween(traversal[0].SourceRange(), traversal[1].SourceRange()), summary: fmt.Sprintf("Unknown %s %q", what, name),
		detail: fmt.Sprintf("No %s %q is declared.", what, name)}
	if near := nearest(name, known); near != "" {
		r.suggestion = root + "." + near
	} else if what == "variable" {
		r.detail += fmt.Sprintf(" Declare it with: variable %q {}.", name)
	}
	l.report(r)
	return false
}

func (l *loader) checkIndex(root string, traversal hcl.Traversal, s scope) bool {
	members := map[string][]string{"count": {"index"}, "each": {"key", "value"}}[root]
	where := traversal.SourceRange()
	switch {
	case !s.indexed:
		l.report(report{at: where, summary: fmt.Sprintf("%q cannot be used here", root),
			detail: "It differs by index of an array; only command and env of a task do."})
		return false
	case s.array != root && s.array == "":
		need := map[string]string{"count": "count = ...", "each": "for_each = ..."}[root]
		l.report(report{at: where, summary: fmt.Sprintf("%q in a task that is no array", root), detail: "Give the task " + need + " to make it an array."})
		return false
	case s.array != root:
		own := map[string]string{"count": "count.index", "each": "each.key or each.value"}[s.array]
		l.report(report{at: where, summary: fmt.Sprintf("%q in a task with %s", root, map[string]string{"count": "count", "each": "for_each"}[s.array]), detail: "Its indexes are told apart by " + own + "."})
		return false
	}
	if len(traversal) > 1 && slices.Contains(members, attrName(traversal[1])) {
		return true
	}
	l.report(report{at: where, summary: fmt.Sprintf("Unknown attribute of %q", root), detail: fmt.Sprintf("%s has: %s.", root, strings.Join(members, ", ")), suggestion: root + "." + members[0]})
	return false
}

// roots are the names that an expression can begin with.
var roots = []string{"var", "local", "job", "count", "each", "task", "input"}

func (l *loader) unknownRoot(root string, bare bool, where hcl.Range) bool {
	r := report{at: where, summary: fmt.Sprintf("Unknown name %q", root)}
	switch {
	case root == "env":
		r.detail = "The environment cannot be read: a job file gives the same run everywhere. Declare a variable and set it by SPOTRELAY_VAR_name."
	case root == "path" || root == "run" || root == "self":
		r.detail = fmt.Sprintf("There is no %q in a job file. A task finds its run in SPOTRELAY_RUN_ID and the like.", root)
	case bare:
		r.detail = fmt.Sprintf("If text is meant, put it in quotes: %q.", root)
		if l.variables[root] != nil {
			r.suggestion = "var." + root
		} else if l.locals[root] != nil {
			r.suggestion = "local." + root
		}
	default:
		r.detail = "A reference begins with one of: " + strings.Join(roots, ", ") + "."
		r.suggestion = nearest(root, roots)
		if r.suggestion == "" && (root == "variable" || root == "locals" || root == "vars") {
			r.suggestion = root[:min(len(root), 5)]
			r.suggestion = map[string]string{"varia": "var", "local": "local", "vars": "var"}[r.suggestion]
		}
	}
	l.report(r)
	return false
}

func keysOf[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for key := range m {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}
