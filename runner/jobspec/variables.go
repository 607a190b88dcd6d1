package jobspec

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/ext/typeexpr"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/hashicorp/hcl/v2/hclwrite"
	"github.com/hashicorp/hcl/v2/json"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
)

// environPrefix begins the environment variables that set variables.
const environPrefix = "SPOTRELAY_VAR_"

// variable is a declared variable and what it was set to.
type variable struct {
	block     *content
	kind      cty.Type
	defaults  *typeexpr.Defaults
	sensitive bool
	nullable  bool
	value     cty.Value // NilVal until set
	setBy     string    // "-var", "the file x", ...; "" for the default
	setAt     hcl.Range
}

// declareVariables reads the variable blocks and sets each from outside, else
// by its default.
func (l *loader) declareVariables(top *content) {
	for _, block := range top.named(variableSchema) {
		if before, again := l.variables[block.label]; again {
			l.duplicate("variable", block, before.block)
			continue
		}
		if !hclsyntax.ValidIdentifier(block.label) {
			l.report(report{at: block.labelRange, summary: fmt.Sprintf("Invalid name %q", block.label), detail: "A variable's name has letters, digits, - and _, and begins with a letter."})
		}
		l.variables[block.label] = l.declare(block)
	}
	l.setFromEnviron()
	l.setFromFiles()
	l.setFromArguments()
	for _, name := range keysOf(l.variables) {
		l.settle(name, l.variables[name])
	}
}

func (l *loader) duplicate(what string, block, before *content) {
	l.report(report{at: block.labelRange, summary: fmt.Sprintf("Second %s %q", what, block.label),
		detail: fmt.Sprintf("There is one %s of a name; the first is at %s.", what, at(before.header))})
}

func (l *loader) declare(block *content) *variable {
	defer l.within(block.title())()
	v := &variable{block: block, kind: cty.DynamicPseudoType, nullable: true}
	constant := scope{constant: true}
	if attr, ok := block.attrs["type"]; ok {
		kind, defaults, diags := typeexpr.TypeConstraintWithDefaults(attr.Expr)
		l.adopt(diags, attr.Expr.Range())
		if !diags.HasErrors() {
			v.kind, v.defaults = kind, defaults
		}
	}
	l.setting(variableSchema, "description", constant, block).text()
	v.sensitive, _ = l.setting(variableSchema, "sensitive", constant, block).boolean()
	if nullable, ok := l.setting(variableSchema, "nullable", constant, block).boolean(); ok {
		v.nullable = nullable
	}
	return v
}

func (l *loader) setFromEnviron() {
	for _, entry := range l.opts.Environ {
		name, text, ok := strings.Cut(entry, "=")
		name, ours := strings.CutPrefix(name, environPrefix)
		if v := l.variables[name]; ok && ours && v != nil {
			l.setText(v, text, environPrefix+name)
		}
	}
}

func (l *loader) setFromArguments() {
	for _, argument := range l.opts.Variables {
		name, text, ok := strings.Cut(argument, "=")
		name = strings.TrimSpace(name)
		place := "-var " + name
		v := l.variables[name]
		if ok && v != nil {
			l.setText(v, text, place)
			continue
		}
		where := l.argument(place, argument, 0, len(name))
		if !ok {
			l.report(report{at: where, summary: "A variable without a value", detail: fmt.Sprintf("Write -var %s=VALUE.", name)})
			continue
		}
		l.undeclared(name, where, false)
	}
}

// argument makes a source of a text that is in no file, so that diagnostics
// can show it.
func (l *loader) argument(place, text string, from, to int) hcl.Range {
	l.sources[place] = []byte(text)
	return hcl.Range{Filename: place, Start: hcl.Pos{Line: 1, Column: from + 1, Byte: from}, End: hcl.Pos{Line: 1, Column: to + 1, Byte: to}}
}

func (l *loader) undeclared(name string, where hcl.Range, warning bool) {
	r := report{at: where, warning: warning, summary: fmt.Sprintf("Unknown variable %q", name),
		detail: fmt.Sprintf("The job file declares no variable %q.", name), suggestion: nearest(name, keysOf(l.variables))}
	l.report(r)
}

// setText sets a variable from text: as it is where text, a number or a bool
// is wanted, or nothing is said; else as an expression.
func (l *loader) setText(v *variable, text, place string) {
	shown := text
	if v.sensitive {
		shown = "(sensitive)"
	}
	v.setBy = place
	v.setAt = l.argument(place, shown, 0, len(shown))
	if v.kind.IsPrimitiveType() || v.kind == cty.DynamicPseudoType {
		v.value = cty.StringVal(text)
		return
	}
	expr, diags := hclsyntax.ParseExpression([]byte(text), place, hcl.InitialPos)
	if !diags.HasErrors() {
		v.value, diags = expr.Value(nil)
	}
	if diags.HasErrors() {
		v.value = cty.DynamicVal
		l.report(report{at: v.setAt, summary: fmt.Sprintf("Invalid value for variable %q", v.block.label),
			detail: fmt.Sprintf("A value for %s is written as in a job file, such as [\"a\", \"b\"] or {a = 1}.", typeexpr.TypeString(v.kind))})
	}
}

func (l *loader) setFromFiles() {
	for _, path := range l.opts.VarFiles {
		text, err := os.ReadFile(path)
		if err != nil {
			l.unreadable(path, err)
			continue
		}
		l.order[path] = len(l.order)
		l.sources[path] = text
		parse := func() (*hcl.File, hcl.Diagnostics) { return hclsyntax.ParseConfig(text, path, hcl.InitialPos) }
		if strings.HasSuffix(path, ".json") {
			parse = func() (*hcl.File, hcl.Diagnostics) { return json.Parse(text, path) }
		}
		file, diags := parse()
		l.adopt(diags, startOf(path))
		if diags.HasErrors() || file == nil {
			continue
		}
		attrs, diags := file.Body.JustAttributes()
		l.adopt(diags, startOf(path))
		for name, attr := range attrs {
			v := l.variables[name]
			if v == nil {
				l.undeclared(name, attr.NameRange, true)
				continue
			}
			v.setBy, v.setAt = "the file "+path, attr.Expr.Range()
			v.value = l.evaluate(attr.Expr, scope{constant: true, ctx: l.ctx})
		}
	}
}

// settle converts what a variable was set to, or takes the default.
func (l *loader) settle(name string, v *variable) {
	defer l.within(v.block.title())()
	if attr, ok := v.block.attrs["default"]; ok {
		value := l.convert(name, v, l.evaluate(attr.Expr, scope{constant: true, ctx: l.ctx}), attr.Expr.Range())
		if v.value == cty.NilVal || !v.nullable && v.value.IsKnown() && v.value.IsNull() {
			v.value, v.setAt, v.setBy = value, attr.Expr.Range(), ""
			return
		}
	}
	if v.value == cty.NilVal {
		v.value = cty.UnknownVal(v.kind)
		l.report(report{at: v.block.header, summary: fmt.Sprintf("Variable %q is not set", name),
			detail: fmt.Sprintf("It has no default. Set it by -var %s=VALUE, by a -var-file or by %s%s.", name, environPrefix, name)})
		return
	}
	v.value = l.convert(name, v, v.value, v.setAt)
}

func (l *loader) convert(name string, v *variable, value cty.Value, where hcl.Range) cty.Value {
	if !value.IsKnown() {
		return cty.UnknownVal(v.kind)
	}
	if value.IsNull() {
		if !v.nullable {
			l.report(report{at: where, summary: fmt.Sprintf("Invalid value for variable %q", name), detail: "It cannot be null, as its nullable = false says."})
			return cty.UnknownVal(v.kind)
		}
		return cty.NullVal(v.kind)
	}
	if v.defaults != nil {
		value = v.defaults.Apply(value)
	}
	converted, err := convert.Convert(value, v.kind)
	if err == nil {
		return converted
	}
	l.report(report{at: where, summary: fmt.Sprintf("Invalid value for variable %q", name),
		detail: fmt.Sprintf("Its type is %s: %s.", typeexpr.TypeString(v.kind), conversionFault(err))})
	return cty.UnknownVal(v.kind)
}

// conversionFault is the text of a conversion's error, with the path in it.
func conversionFault(err error) string {
	var fault cty.PathError
	if !errors.As(err, &fault) || len(fault.Path) == 0 {
		return err.Error()
	}
	var path strings.Builder
	for _, step := range fault.Path {
		switch step := step.(type) {
		case cty.GetAttrStep:
			path.WriteString("." + step.Name)
		case cty.IndexStep:
			if step.Key.Type() == cty.String {
				fmt.Fprintf(&path, "[%q]", step.Key.AsString())
			} else if step.Key.Type() == cty.Number {
				fmt.Fprintf(&path, "[%s]", step.Key.AsBigFloat().Text('f', -1))
			}
		}
	}
	return "at " + strings.TrimPrefix(path.String(), ".") + ": " + err.Error()
}

// variablesValue is what var is in expressions.
func (l *loader) variablesValue() cty.Value {
	values := map[string]cty.Value{}
	for name, v := range l.variables {
		values[name] = v.value
		if v.sensitive {
			values[name] = v.value.Mark(sensitiveMark{})
		}
	}
	return cty.ObjectVal(values)
}

// validate runs the validation blocks of the variables.
func (l *loader) validate() {
	for _, name := range keysOf(l.variables) {
		v := l.variables[name]
		leave := l.within(v.block.title())
		for _, rule := range v.block.named(validationSchema) {
			l.validateRule(name, v, rule)
		}
		leave()
	}
}

func (l *loader) validateRule(name string, v *variable, rule *content) {
	s := scope{ctx: l.ctx}
	condition := l.setting(validationSchema, "condition", s, rule)
	message := l.setting(validationSchema, "error_message", s, rule)
	used := l.used["var."+name]
	given := condition.require(rule)
	given = message.require(rule) && given
	if !given || !v.value.IsWhollyKnown() {
		return
	}
	truth, ok := condition.boolean()
	l.used["var."+name] = used // a rule of its own is no use of it
	text, _ := message.text()
	if !ok || truth {
		return
	}
	where := ""
	if v.setBy != "" {
		where = fmt.Sprintf("\nIt was set by %s.", v.setBy)
	}
	l.report(report{at: v.setAt, summary: fmt.Sprintf("Invalid value for variable %q", name),
		detail: fmt.Sprintf("%s\nThe rule is at %s.%s", text, at(condition.where), where)})
}

// variableTexts are the variables as expressions, without sensitive ones.
func (l *loader) variableTexts() map[string]string {
	texts := map[string]string{}
	for name, v := range l.variables {
		if !v.sensitive && v.value.IsWhollyKnown() {
			texts[name] = string(hclwrite.TokensForValue(v.value).Bytes())
		}
	}
	if len(texts) == 0 {
		return nil
	}
	return texts
}

// environmentNames are the variables of the environment that set variables of
// the job file, sorted.
func (l *loader) environmentNames() []string {
	var names []string
	for _, name := range keysOf(l.variables) {
		if from := environPrefix + name; l.variables[name].setBy == from {
			names = append(names, from)
		}
	}
	return names
}
