package jobspec

import (
	"fmt"
	"maps"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"

	"github.com/spotrelay/spotrelay/runner/job"
)

// expand reads command and env, and makes an element for each index out of
// what differs.
func (l *loader) expand(t *task, out *job.Task, base map[string]string) {
	s := scope{ctx: l.ctx, task: t, array: t.array, indexed: true}
	st := l.setting(taskSchema, "command", s, t.c)
	var command *template
	ok := st.require(t.c)
	if ok {
		command, ok = l.commandTemplate(st)
	}
	env, envOK := l.envTemplate(l.setting(taskSchema, "env", s, t.c))
	out.Execution.Env = maps.Clone(base)
	if fixed := env.fixedMap(); fixed != nil {
		if out.Execution.Env == nil {
			out.Execution.Env = map[string]string{}
		}
		maps.Copy(out.Execution.Env, fixed)
	}
	if !ok || !envOK || t.broken {
		return
	}
	if !command.varies() {
		out.Execution.Command = command.fixed()
	}
	if !command.varies() && !env.varies() {
		return
	}
	indexes := l.indexes(t)
	if t.count == 0 {
		l.rehearse(indexes, command, env)
		if command.varies() {
			out.Execution.Command = l.written(command)
		}
		return
	}
	out.Elements = make([]job.Element, t.count)
	indexes.evaluate(append(l.commandParts(command, out), l.envParts(env, out)...))
	if command.varies() && out.Elements[0].Command != nil {
		out.Execution.Command = out.Elements[0].Command
	}
}

// indexScope gives the scope of one index after the other; the context is the
// same one, changed.
type indexScope struct {
	l     *loader
	t     *task
	scope scope
}

func (l *loader) indexes(t *task) *indexScope {
	ctx := l.ctx.NewChild()
	ctx.Variables = map[string]cty.Value{}
	return &indexScope{l: l, t: t, scope: scope{ctx: ctx, task: t, array: t.array, indexed: true}}
}

// at sets the scope to an index.
func (i *indexScope) at(index int) {
	if i.t.array == "each" {
		i.scope.ctx.Variables["each"] = cty.ObjectVal(map[string]cty.Value{"key": cty.StringVal(i.t.keys[index]), "value": i.t.values[index]})
		return
	}
	// A map, since its type, unlike an object's, is not made anew each time.
	i.scope.ctx.Variables["count"] = cty.MapVal(map[string]cty.Value{"index": cty.NumberIntVal(int64(index))})
}

// unknown sets the scope to an index that there is not.
func (i *indexScope) unknown() {
	i.scope.ctx.Variables["each"] = cty.ObjectVal(map[string]cty.Value{"key": cty.UnknownVal(cty.String), "value": cty.DynamicVal})
	i.scope.ctx.Variables["count"] = cty.ObjectVal(map[string]cty.Value{"index": cty.UnknownVal(cty.Number)})
}

// title names an index in diagnostics.
func (i *indexScope) title(index int) string {
	if i.t.array == "each" {
		return fmt.Sprintf("%s, key %q", i.t.c.title(), i.t.keys[index])
	}
	return fmt.Sprintf("%s, index %d", i.t.c.title(), index)
}

// value evaluates an expression, whose references were checked, at the scope's
// index.
func (i *indexScope) value(refs *references, p *piece) cty.Value {
	ctx := i.scope.ctx
	if len(refs.tasks)+len(refs.inputs) > 0 {
		if ctx = i.l.withTasks(refs, i.scope); ctx == nil {
			return cty.DynamicVal
		}
	}
	return i.l.value(p.expr, ctx)
}

// part is something that is evaluated for each index.
type part struct {
	piece *piece
	refs  *references
	// take stores the result; false is a fault, after which the part is not
	// evaluated again, so that each fault is told once.
	take func(index int, value cty.Value) bool
	dead bool
}

// evaluate evaluates the parts for each index.
func (i *indexScope) evaluate(parts []*part) {
	for index := range i.t.count {
		i.at(index)
		for _, part := range parts {
			if !part.dead {
				part.dead = !part.take(index, i.valueIn(part.refs, part.piece, index))
			}
		}
	}
}

// commandParts are the parts of a command.
func (l *loader) commandParts(command *template, out *job.Task) []*part {
	if command.whole != nil {
		return []*part{l.wholePart(command, func(index int, pieces []piece) bool {
			out.Elements[index].Command = (&template{pieces: pieces}).fixed()
			return l.notEmpty(&template{setting: command.setting, pieces: pieces})
		})}
	}
	var parts []*part
	for n := range command.pieces {
		if !command.pieces[n].varies {
			continue
		}
		if parts == nil { // the first: what is fixed is there already
			for index := range out.Elements {
				out.Elements[index].Command = command.fixed()
			}
		}
		parts = append(parts, l.piecePart(command, n, func(index int, text string) bool {
			out.Elements[index].Command[n] = text
			return n > 0 || text != "" || l.notEmpty(&template{setting: command.setting})
		}))
	}
	return parts
}

// envParts are the parts of an env.
func (l *loader) envParts(env *template, out *job.Task) []*part {
	if env.whole != nil {
		return []*part{l.wholePart(env, func(index int, pieces []piece) bool {
			out.Elements[index].Env = (&template{pieces: pieces}).fixedMap()
			return true
		})}
	}
	var parts []*part
	for n := range env.pieces {
		name := env.pieces[n].name
		if !env.pieces[n].varies {
			continue
		}
		parts = append(parts, l.piecePart(env, n, func(index int, text string) bool {
			if out.Elements[index].Env == nil {
				out.Elements[index].Env = make(map[string]string, 1)
			}
			out.Elements[index].Env[name] = text
			return true
		}))
	}
	return parts
}

// piecePart is the part for one piece.
func (l *loader) piecePart(t *template, n int, take func(index int, text string) bool) *part {
	p := &t.pieces[n]
	title := fmt.Sprintf("element %d", n)
	if p.name != "" {
		title = fmt.Sprintf("%q", p.name)
	}
	return &part{piece: p, refs: l.referencesOf(p.expr), take: func(index int, value cty.Value) bool {
		text, ok := l.pieceText(t.setting, p.expr, value, title)
		return ok && take(index, text)
	}}
}

// wholePart is the part for a whole command or env.
func (l *loader) wholePart(t *template, take func(index int, pieces []piece) bool) *part {
	refs := l.referencesOf(t.whole)
	return &part{piece: &piece{expr: t.whole}, refs: refs, take: func(index int, value cty.Value) bool {
		pieces, ok := l.wholePieces(t, refs, value)
		return ok && take(index, pieces)
	}}
}

// valueIn is value with the index named in what it reports.
func (i *indexScope) valueIn(refs *references, p *piece, index int) cty.Value {
	before := len(i.l.list)
	value := i.value(refs, p)
	for _, diag := range i.l.list[before:] {
		diag.Extra = extra{suggestion: suggestionOf(diag), block: i.title(index)}
	}
	return value
}

// rehearse evaluates what would differ by index in an array of none, so that
// its faults are found all the same.
func (l *loader) rehearse(indexes *indexScope, templates ...*template) {
	indexes.unknown()
	for _, t := range templates {
		if t.whole != nil {
			indexes.valueIfWhole(l.referencesOf(t.whole), &piece{expr: t.whole})
		}
		for n := range t.pieces {
			if p := &t.pieces[n]; p.varies {
				indexes.valueIfWhole(l.referencesOf(p.expr), p)
			}
		}
	}
}

// valueIfWhole evaluates what needs no task's index.
func (i *indexScope) valueIfWhole(refs *references, p *piece) {
	for _, ref := range refs.tasks {
		if !ref.whole {
			return
		}
	}
	i.value(refs, p)
}

// written is a command as it is written, for an array of no indexes.
func (l *loader) written(command *template) []string {
	text := func(where hcl.Range) string { return job.EscapePlaceholders(l.sourceText(where)) }
	if command.whole != nil {
		return []string{text(command.whole.Range())}
	}
	words := command.fixed()
	for i, piece := range command.pieces {
		if piece.varies {
			words[i] = text(piece.expr.Range())
		}
	}
	return words
}
