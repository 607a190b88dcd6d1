package jobspec

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// content is a block of a file, sorted by its schema.
type content struct {
	schema     *blockSchema
	label      string
	labelRange hcl.Range
	header     hcl.Range // the block's type and labels
	attrs      map[string]*hclsyntax.Attribute
	blocks     []*content // in the order of the file
	body       *hclsyntax.Body
}

// title names the block in messages: `task "train"`, `resources`.
func (c *content) title() string {
	if c.schema.label != "" {
		return c.schema.name + " " + strconv.Quote(c.label)
	}
	return c.schema.name
}

// named are the blocks of a type.
func (c *content) named(schema *blockSchema) []*content {
	var found []*content
	for _, block := range c.blocks {
		if block.schema == schema {
			found = append(found, block)
		}
	}
	return found
}

// first is the block of a type that may stand once, nil if there is none.
func (c *content) first(schema *blockSchema) *content {
	if c == nil {
		return nil
	}
	if found := c.named(schema); len(found) > 0 {
		return found[0]
	}
	return nil
}

// within sets the block that diagnostics name, until the returned function is
// called.
func (l *loader) within(title string) func() {
	before := l.block
	l.block = title
	return func() { l.block = before }
}

// sort sorts bodies by a schema and reports what does not fit. The bodies are
// those of several files at the top level, of one block elsewhere.
func (l *loader) sort(schema *blockSchema, header hcl.Range, bodies ...*hclsyntax.Body) *content {
	c := &content{schema: schema, header: header, attrs: map[string]*hclsyntax.Attribute{}, body: bodies[0]}
	for _, body := range bodies {
		for _, attr := range inOrder(body.Attributes) {
			if schema.open || schema.attribute(attr.Name) != nil {
				c.attrs[attr.Name] = attr
			} else {
				l.unknownName(schema, attr.Name, attr.NameRange, true)
			}
		}
		for _, block := range body.Blocks {
			l.sortBlock(c, block)
		}
	}
	return c
}

func (l *loader) sortBlock(parent *content, block *hclsyntax.Block) {
	if parent.schema.open {
		return // the owner of an open block reads its blocks itself
	}
	schema := parent.schema.block(block.Type)
	if schema == nil {
		l.unknownName(parent.schema, block.Type, block.TypeRange, false)
		return
	}
	child := &content{schema: schema, header: headerOf(block), body: block.Body}
	if !l.takeLabel(child, block) {
		return
	}
	if schema.single {
		if before := parent.first(schema); before != nil {
			l.report(report{at: child.header, summary: "Second " + schema.name + " block",
				detail: fmt.Sprintf("There is one %s block at most; the first is at %s.", schema.name, at(before.header))})
			return
		}
	}
	defer l.within(child.title())()
	sorted := l.sort(schema, child.header, block.Body)
	sorted.label, sorted.labelRange = child.label, child.labelRange
	parent.blocks = append(parent.blocks, sorted)
}

// takeLabel checks the labels of a block; false when it has no name to go by.
func (l *loader) takeLabel(c *content, block *hclsyntax.Block) bool {
	want := 0
	if c.schema.label != "" {
		want = 1
	}
	switch {
	case len(block.Labels) < want:
		l.report(report{at: block.TypeRange, summary: capital(article(c.schema.name)) + " block needs a name",
			detail: fmt.Sprintf("Write %s \"%s\" { ... }.", c.schema.name, c.schema.label)})
		return false
	case len(block.Labels) > want && want == 0:
		l.report(report{at: block.LabelRanges[0], summary: capital(article(c.schema.name)) + " block has no name",
			detail: fmt.Sprintf("Write %s { ... }.", c.schema.name)})
	case len(block.Labels) > want:
		l.report(report{at: block.LabelRanges[want], summary: capital(article(c.schema.name)) + " block has one name",
			detail: fmt.Sprintf("Write %s %q { ... }.", c.schema.name, block.Labels[0])})
	}
	if want == 1 {
		c.label, c.labelRange = block.Labels[0], block.LabelRanges[0]
	}
	return true
}

// unknownName tells of an attribute or block that the schema does not have,
// with what was likely meant.
func (l *loader) unknownName(schema *blockSchema, name string, where hcl.Range, isAttribute bool) {
	what, other := "block", "attribute"
	if isAttribute {
		what, other = "attribute", "block"
	}
	home := "in " + article(schema.name) + " block"
	if schema == language {
		home = "at the top of a job file"
	}
	if isLater(name) {
		l.report(report{at: where, summary: fmt.Sprintf("%q is not supported yet", name),
			detail: fmt.Sprintf("This release of spotrelay has no %q and would not heed it, so it is refused rather than ignored. Remove it.", name)})
		return
	}
	r := report{at: where, summary: fmt.Sprintf("Unknown %s %q", what, name)}
	if isAttribute && schema.block(name) != nil {
		r.detail = fmt.Sprintf("%q is a block %s: write %s { ... } without an equals sign.", name, home, name)
	} else if !isAttribute && schema.attribute(name) != nil {
		r.detail = fmt.Sprintf("%q is an attribute %s: write %s = ...", name, home, name)
	} else if nearest := nearest(name, schema.names()); nearest != "" {
		r.detail = fmt.Sprintf("There is no %s or %s %q %s.", what, other, name, home)
		r.suggestion = nearest
	} else if homes := homesOf(name); len(homes) > 0 {
		r.detail = fmt.Sprintf("There is no %q %s; it belongs in %s.", name, home, strings.Join(homes, " or "))
	} else {
		r.detail = fmt.Sprintf("There is no %q %s. It may hold: %s.", name, home, strings.Join(sorted(schema.names()), ", "))
	}
	l.report(r)
}

// homesOf are the blocks that a word belongs into.
func homesOf(name string) []string {
	var homes []string
	var visit func(*blockSchema)
	seen := map[*blockSchema]bool{}
	visit = func(schema *blockSchema) {
		if seen[schema] {
			return
		}
		seen[schema] = true
		if schema.attribute(name) != nil || schema.block(name) != nil {
			home := article(schema.name) + " block"
			if schema == language {
				home = "the top of the file"
			}
			homes = append(homes, home)
		}
		for _, block := range schema.blocks {
			visit(block)
		}
	}
	visit(language)
	return homes
}

func article(name string) string {
	if strings.ContainsRune("aeiou", rune(name[0])) {
		return "an " + name
	}
	return "a " + name
}

func capital(text string) string { return strings.ToUpper(text[:1]) + text[1:] }

// inOrder are attributes in the order of the file.
func inOrder(attrs hclsyntax.Attributes) []*hclsyntax.Attribute {
	list := make([]*hclsyntax.Attribute, 0, len(attrs))
	for _, attr := range attrs {
		list = append(list, attr)
	}
	slices.SortFunc(list, func(a, b *hclsyntax.Attribute) int {
		return cmp.Compare(a.NameRange.Start.Byte, b.NameRange.Start.Byte)
	})
	return list
}

func headerOf(block *hclsyntax.Block) hcl.Range {
	if n := len(block.LabelRanges); n > 0 {
		return hcl.RangeBetween(block.TypeRange, block.LabelRanges[n-1])
	}
	return block.TypeRange
}

// at is a place in a sentence: job.hcl:12.
func at(place hcl.Range) string {
	return fmt.Sprintf("%s:%d", place.Filename, place.Start.Line)
}
