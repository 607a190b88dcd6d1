package jobspec

import (
	"fmt"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"
)

// declareLocals evaluates the locals in the order in which they need each
// other, and puts them into the context.
func (l *loader) declareLocals(top *content) {
	for _, block := range top.named(localsSchema) {
		for _, nested := range block.body.Blocks {
			l.report(report{at: nested.TypeRange, summary: fmt.Sprintf("Unknown block %q", nested.Type), detail: "A locals block holds attributes alone."})
		}
		for _, attr := range inOrder(block.body.Attributes) {
			if before, again := l.locals[attr.Name]; again {
				l.report(report{at: attr.NameRange, summary: fmt.Sprintf("Second local %q", attr.Name), detail: "The first is at " + at(before.NameRange) + "."})
				continue
			}
			l.locals[attr.Name] = attr
		}
	}
	values := map[string]cty.Value{}
	state := map[string]int{}
	for _, name := range keysOf(l.locals) {
		l.evaluateLocal(name, values, state, nil)
	}
	l.ctx.Variables["local"] = cty.ObjectVal(values)
}

const (
	visiting = 1
	visited  = 2
)

// evaluateLocal evaluates a local after those that it needs; path is how it
// was come to.
func (l *loader) evaluateLocal(name string, values map[string]cty.Value, state map[string]int, path []string) {
	switch state[name] {
	case visited:
		return
	case visiting:
		l.localCycle(name, path, values)
		return
	}
	state[name] = visiting
	path = append(path, name)
	attr := l.locals[name]
	for _, traversal := range l.referencesOf(attr.Expr).free {
		if traversal.RootName() == "local" && len(traversal) > 1 {
			if needed := attrName(traversal[1]); l.locals[needed] != nil {
				l.evaluateLocal(needed, values, state, path)
			}
		}
	}
	state[name] = visited
	if _, cyclic := values[name]; cyclic {
		return
	}
	defer l.within("locals")()
	l.ctx.Variables["local"] = cty.ObjectVal(values)
	values[name] = l.evaluate(attr.Expr, scope{ctx: l.ctx})
}

func (l *loader) localCycle(name string, path []string, values map[string]cty.Value) {
	start := 0
	for i, step := range path {
		if step == name {
			start = i
		}
	}
	cycle := append(append([]string{}, path[start:]...), name)
	for _, step := range cycle {
		values[step] = cty.DynamicVal
	}
	l.report(report{at: l.locals[name].NameRange, summary: "Locals in a cycle",
		detail: fmt.Sprintf("%s: none of them can be evaluated before the others.", strings.Join(cycle, " -> "))})
}

// warnUnused tells of variables and locals that nothing refers to.
func (l *loader) warnUnused() {
	l.warnUnusedInputs()
	for _, name := range keysOf(l.variables) {
		if !l.used["var."+name] {
			l.unused("variable", name, l.variables[name].block.labelRange)
		}
	}
	for _, name := range keysOf(l.locals) {
		if !l.used["local."+name] {
			l.unused("local", name, l.locals[name].NameRange)
		}
	}
}

func (l *loader) unused(what, name string, where hcl.Range) {
	l.report(report{at: where, warning: true, summary: fmt.Sprintf("Unused %s %q", what, name), detail: "Nothing in the job file refers to it."})
}
