package computetest

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"unicode"
)

// filter is a parsed filter expression: the part of AIP-160 that Compute's
// reference describes, comparisons with = != < <= > >= and :, joined by AND
// (also left out between parentheses) and OR, with parentheses. Anything else
// is refused, the older form with regular expressions (eq, ne) too.
type filter struct {
	any   []filter // one of them, or
	all   []filter // all of them, or
	field string   // a comparison
	op    string
	value string
}

// matches reports whether a resource passes; the empty filter passes all.
func (f filter) matches(o object) bool {
	switch {
	case len(f.any) > 0:
		for _, part := range f.any {
			if part.matches(o) {
				return true
			}
		}
		return false
	case len(f.all) > 0:
		for _, part := range f.all {
			if !part.matches(o) {
				return false
			}
		}
		return true
	case f.field == "":
		return true
	}
	return f.compare(at(o, f.field))
}

func (f filter) compare(value any) bool {
	text, given := "", true
	switch v := value.(type) {
	case nil:
		given = false
	case string:
		text = v
	case bool:
		text = strconv.FormatBool(v)
	case json.Number:
		text = v.String()
	default:
		text = fmt.Sprint(v)
	}
	switch f.op {
	case "=":
		return given && text == f.value
	case "!=":
		return !given || text != f.value
	case ":":
		return given && (f.value == "*" || strings.Contains(text, f.value))
	}
	have, err1 := strconv.ParseFloat(text, 64)
	want, err2 := strconv.ParseFloat(f.value, 64)
	if !given || err1 != nil || err2 != nil {
		return false
	}
	switch f.op {
	case "<":
		return have < want
	case "<=":
		return have <= want
	case ">":
		return have > want
	}
	return have >= want
}

// parseFilter reads an expression.
func parseFilter(text string) (filter, error) {
	p := filterParser{tokens: nil}
	if err := p.split(text); err != nil {
		return filter{}, err
	}
	if len(p.tokens) == 0 {
		return filter{}, nil
	}
	f, err := p.expression()
	if err == nil && len(p.tokens) > 0 {
		err = fmt.Errorf("what is %q for?", p.tokens[0].text)
	}
	return f, err
}

type filterToken struct {
	text   string
	quoted bool
}

type filterParser struct {
	tokens []filterToken
	depth  int
}

const filterOperators = "=!<>:"

// split cuts an expression into parentheses, operators, words and quoted text.
func (p *filterParser) split(text string) error {
	runes := []rune(text)
	for i := 0; i < len(runes); {
		r := runes[i]
		switch {
		case unicode.IsSpace(r):
			i++
		case r == '(' || r == ')':
			p.tokens = append(p.tokens, filterToken{text: string(r)})
			i++
		case r == '"':
			end := i + 1
			var value strings.Builder
			for end < len(runes) && runes[end] != '"' {
				if runes[end] == '\\' && end+1 < len(runes) {
					end++
				}
				value.WriteRune(runes[end])
				end++
			}
			if end >= len(runes) {
				return fmt.Errorf("the text that begins at %d has no end", i)
			}
			p.tokens = append(p.tokens, filterToken{value.String(), true})
			i = end + 1
		case strings.ContainsRune(filterOperators, r):
			end := i + 1
			if end < len(runes) && runes[end] == '=' && r != '=' && r != ':' {
				end++
			}
			p.tokens = append(p.tokens, filterToken{text: string(runes[i:end])})
			i = end
		default:
			end := i
			for end < len(runes) && !unicode.IsSpace(runes[end]) && !strings.ContainsRune(filterOperators+`()"`, runes[end]) {
				end++
			}
			p.tokens = append(p.tokens, filterToken{text: string(runes[i:end])})
			i = end
		}
	}
	return nil
}

func (p *filterParser) take() filterToken {
	if len(p.tokens) == 0 {
		return filterToken{}
	}
	token := p.tokens[0]
	p.tokens = p.tokens[1:]
	return token
}

func (p *filterParser) next(text string) bool {
	return len(p.tokens) > 0 && !p.tokens[0].quoted && p.tokens[0].text == text
}

// expression is a row of terms. OR binds tighter than AND, as AIP-160 has it.
func (p *filterParser) expression() (filter, error) {
	var all []filter
	for {
		part, err := p.alternatives()
		if err != nil {
			return filter{}, err
		}
		all = append(all, part)
		if len(p.tokens) == 0 || p.next(")") {
			break
		}
		if p.next("AND") {
			p.take()
		} else if !p.next("(") {
			return filter{}, fmt.Errorf("AND, OR or a parenthesis is wanted, not %q", p.tokens[0].text)
		}
	}
	if len(all) == 1 {
		return all[0], nil
	}
	return filter{all: all}, nil
}

func (p *filterParser) alternatives() (filter, error) {
	var any []filter
	for {
		part, err := p.term()
		if err != nil {
			return filter{}, err
		}
		any = append(any, part)
		if !p.next("OR") {
			break
		}
		p.take()
	}
	if len(any) == 1 {
		return any[0], nil
	}
	return filter{any: any}, nil
}

func (p *filterParser) term() (filter, error) {
	if !p.next("(") {
		return p.comparison()
	}
	p.take()
	if p.depth++; p.depth > 20 {
		return filter{}, fmt.Errorf("too many parentheses")
	}
	f, err := p.expression()
	p.depth--
	if err != nil {
		return f, err
	}
	if token := p.take(); token.quoted || token.text != ")" {
		return f, fmt.Errorf("a closing parenthesis is wanted, not %q", token.text)
	}
	return f, nil
}

func (p *filterParser) comparison() (filter, error) {
	field, op, value := p.take(), p.take(), p.take()
	switch {
	case field.quoted || field.text == "" || !isFieldName(field.text):
		return filter{}, fmt.Errorf("%q is no field", field.text)
	case op.quoted || op.text == "" || op.text == "!" || !strings.ContainsRune(filterOperators, rune(op.text[0])):
		return filter{}, fmt.Errorf("%q is no operator of a filter that is spoken here", op.text)
	case !value.quoted && (value.text == "" || strings.ContainsAny(value.text, filterOperators+"()")):
		return filter{}, fmt.Errorf("%s %s: a value is wanted, not %q", field.text, op.text, value.text)
	}
	return filter{field: field.text, op: op.text, value: value.text}, nil
}

func isFieldName(text string) bool {
	for _, r := range text {
		if !unicode.IsLetter(r) && !unicode.IsDigit(r) && !strings.ContainsRune("._-", r) {
			return false
		}
	}
	return text[0] != '-'
}
