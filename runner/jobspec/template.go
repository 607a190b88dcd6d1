package jobspec

import (
	"fmt"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

// template is a command or env, taken apart into what is the same for all
// indexes and what is evaluated for each.
type template struct {
	setting setting
	// pieces of what is written out, or does not vary.
	pieces []piece
	// whole is an expression for all of it that differs by index, such as
	// concat(["a"], [count.index]).
	whole hclsyntax.Expression
	isMap bool // an env
}

// piece is an element of a command, or an entry of an env.
type piece struct {
	name   string // of an entry
	text   string // when it does not vary
	expr   hclsyntax.Expression
	varies bool
}

// varies reports whether anything differs by index.
func (t *template) varies() bool {
	if t == nil {
		return false
	}
	if t.whole != nil {
		return true
	}
	for _, piece := range t.pieces {
		if piece.varies {
			return true
		}
	}
	return false
}

// fixed is the command of a template that does not vary.
func (t *template) fixed() []string {
	texts := make([]string, len(t.pieces))
	for i, piece := range t.pieces {
		texts[i] = piece.text
	}
	return texts
}

// fixedMap are the entries that do not vary, nil for none.
func (t *template) fixedMap() map[string]string {
	if t == nil {
		return nil
	}
	var texts map[string]string
	for _, piece := range t.pieces {
		if piece.varies {
			continue
		}
		if texts == nil {
			texts = map[string]string{}
		}
		texts[piece.name] = piece.text
	}
	return texts
}

// commandTemplate takes a command apart. False after a report.
func (l *loader) commandTemplate(st setting) (*template, bool) {
	t := &template{setting: st}
	expr := asNative(st.expr)
	tuple, written := expr.(*hclsyntax.TupleConsExpr)
	if !written {
		return t, l.wholeTemplate(t, expr) && l.notEmpty(t)
	}
	ok := true
	for i, element := range tuple.Exprs {
		piece := piece{expr: element}
		ok = l.readPiece(st, &piece, fmt.Sprintf("element %d", i)) && ok
		t.pieces = append(t.pieces, piece)
	}
	return t, ok && l.notEmpty(t)
}

// notEmpty reports a command without a program.
func (l *loader) notEmpty(t *template) bool {
	if t.whole != nil || len(t.pieces) > 0 && (t.pieces[0].varies || t.pieces[0].text != "") {
		return true
	}
	l.report(report{at: t.setting.where, summary: fmt.Sprintf("Empty %s", t.setting.schema.name),
		detail: fmt.Sprintf("The first element is the program, such as %s.", t.setting.schema.example)})
	return false
}

// envTemplate takes an env apart. False after a report.
func (l *loader) envTemplate(st setting) (*template, bool) {
	t := &template{setting: st, isMap: true}
	expr := asNative(st.expr)
	if expr == nil {
		return t, true
	}
	object, written := expr.(*hclsyntax.ObjectConsExpr)
	if !written || !hasPlainKeys(object) {
		return t, l.wholeTemplate(t, expr)
	}
	ok := true
	seen := map[string]int{}
	for _, item := range object.Items {
		key, _ := item.KeyExpr.Value(nil)
		piece := piece{name: key.AsString(), expr: item.ValueExpr}
		if fault := envFault(piece.name); fault != "" {
			l.report(report{at: item.KeyExpr.Range(), summary: "Invalid environment variable", detail: fault})
			ok = false
		}
		ok = l.readPiece(st, &piece, fmt.Sprintf("%q", piece.name)) && ok
		if before, again := seen[piece.name]; again { // as in HCL, the last one counts
			t.pieces[before] = piece
			continue
		}
		seen[piece.name] = len(t.pieces)
		t.pieces = append(t.pieces, piece)
	}
	return t, ok
}

func hasPlainKeys(object *hclsyntax.ObjectConsExpr) bool {
	for _, item := range object.Items {
		key, diags := item.KeyExpr.Value(nil)
		if diags.HasErrors() || !key.IsKnown() || key.IsNull() || key.Type() != cty.String {
			return false
		}
	}
	return true
}

// readPiece checks a piece's references and evaluates it if it does not vary.
func (l *loader) readPiece(st setting, p *piece, title string) bool {
	refs := l.referencesOf(p.expr)
	if refs.byIndex {
		p.varies = true
		return l.checkReferences(refs, st.scope)
	}
	text, ok := l.pieceText(st, p.expr, l.evaluate(p.expr, st.scope), title)
	p.text = text
	return ok
}

// pieceText renders the value of a piece.
func (l *loader) pieceText(st setting, expr hclsyntax.Expression, value cty.Value, title string) (string, bool) {
	plain, rendering, secret := l.tokens.render(value, l.referencesOf(expr))
	if !plain.IsKnown() {
		return "", false
	}
	text, ok := textOf(plain)
	if !ok {
		detail := fmt.Sprintf("%q is a %s; its %s is %s.", st.schema.name, st.schema.kind, title, describe(plain, secret))
		if isListLike(plain) && st.schema.kind == kindCommand {
			detail += " To put lists together use concat([...], [...])."
		}
		l.report(report{at: expr.Range(), summary: fmt.Sprintf("Wrong type in %q", st.schema.name), detail: detail})
		return "", false
	}
	return l.finish(rendering, text, st.schema.name, expr.Range())
}

// finish renders a text and reports what no program could be given.
func (l *loader) finish(r *rendering, text, name string, where hcl.Range) (string, bool) {
	if strings.IndexByte(text, 0) >= 0 {
		l.report(report{at: where, summary: fmt.Sprintf("Invalid value for %q", name), detail: "No program can be given a NUL character."})
		return "", false
	}
	text = r.text(text)
	return text, l.checkLost(r, where)
}

// wholeTemplate reads a command or env that is not written out.
func (l *loader) wholeTemplate(t *template, expr hclsyntax.Expression) bool {
	refs := l.referencesOf(expr)
	if refs.byIndex {
		t.whole = expr
		return l.checkReferences(refs, t.setting.scope)
	}
	pieces, ok := l.wholePieces(t, refs, l.evaluate(expr, t.setting.scope))
	t.pieces = pieces
	return ok
}

// wholePieces renders the value of a command or env as fixed pieces.
func (l *loader) wholePieces(t *template, refs *references, value cty.Value) ([]piece, bool) {
	st := t.setting
	plain, rendering, secret := l.tokens.render(value, refs)
	if !plain.IsWhollyKnown() {
		return nil, false
	}
	if t.isMap && plain.IsNull() {
		return nil, true
	}
	if t.isMap && !isMapLike(plain) || !t.isMap && !isListLike(plain) {
		l.wrongCommand(st, plain, secret)
		return nil, false
	}
	var pieces []piece
	for it := plain.ElementIterator(); it.Next(); {
		key, element := it.Element()
		name := ""
		if t.isMap {
			name = key.AsString()
			if fault := envFault(name); fault != "" {
				l.report(report{at: st.where, summary: "Invalid environment variable", detail: fault})
				return nil, false
			}
		}
		text, ok := textOf(element)
		if !ok {
			st.wrongElement(len(pieces), element, secret, st.where)
			return nil, false
		}
		if strings.IndexByte(text, 0) >= 0 {
			st.invalid(st.where, "no program can be given a NUL character")
			return nil, false
		}
		pieces = append(pieces, piece{name: name, text: rendering.text(text)})
	}
	return pieces, l.checkLost(rendering, st.where)
}

// wrongCommand reports a command that is no list; text was likely meant for a
// shell.
func (l *loader) wrongCommand(st setting, value cty.Value, secret bool) {
	if st.schema.kind != kindCommand || value.IsNull() || value.Type() != cty.String || secret {
		st.wrongType(value, secret, st.where)
		return
	}
	l.report(report{at: st.where, summary: fmt.Sprintf("Wrong type for %q", st.schema.name),
		detail:     fmt.Sprintf("%q is a list of the program and its arguments, not given to a shell; this is %s.", st.schema.name, describe(value, secret)),
		suggestion: fmt.Sprintf(`["sh", "-c", %s]`, l.sourceText(st.where))})
}
