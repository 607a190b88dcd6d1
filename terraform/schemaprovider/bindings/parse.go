package bindings

import (
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

// file is what a generated file says, by the names of its structures: those of
// resources (VpcEndpoint) and of the blocks in them (VpcEndpointDnsOptions).
type file struct {
	structures map[string]*structure
	root       string // the resource's, data source's or provider's own
	kind       string // aws_vpc_endpoint
}

type structure struct {
	members map[string]*member
	order   []string
}

// member is an attribute or block.
type member struct {
	computed, optional, required bool

	entered  bool   // it can be set: the four below are known
	block    bool   // it is a block
	nesting  string // simple, list, set, map, struct
	storage  string // string, boolean, stringList, ..., or a structure's name
	repeated bool   // more than one

	getter  string // of one that cannot be set: String, List, ...
	asSet   bool
	wrapper string // the structure's list, for one that cannot be set
}

func (f *file) of(name string) *structure {
	s := f.structures[name]
	if s == nil {
		s = &structure{members: map[string]*member{}}
		f.structures[name] = s
	}
	return s
}

func (s *structure) of(name string) *member {
	m := s.members[name]
	if m == nil {
		m = &member{}
		s.members[name] = m
		s.order = append(s.order, name)
	}
	return m
}

var (
	classLine   = regexp.MustCompile(`^export class (\w+) extends cdktf\.(\w+) `)
	mapperLine  = regexp.MustCompile(`^export function (\w+)ToHclTerraform\(`)
	kindLine    = regexp.MustCompile(`tfResourceType = "(\w+)"`)
	memberLine  = regexp.MustCompile(`^\s+// (\w+) - computed: (true|false), optional: (true|false), required: (true|false)`)
	getterLine  = regexp.MustCompile(`this\.get(\w+)Attribute\('(\w+)'\)`)
	wrapperLine = regexp.MustCompile(`= new (\w+)\(this, "(\w+)"(?:, (true|false))?\)`)
	entryLine   = regexp.MustCompile(`^\s+(\w+): \{$`)
	valueLine   = regexp.MustCompile(`^\s+value: (.*),$`)
	blockLine   = regexp.MustCompile(`^\s+isBlock: (true|false),$`)
	typeLine    = regexp.MustCompile(`^\s+type: "(\w+)",$`)
	storageLine = regexp.MustCompile(`^\s+storageClassType: "(\w+)",$`)
)

// roots are the classes that resources, data sources and providers extend.
var roots = map[string]bool{"TerraformResource": true, "TerraformDataSource": true, "TerraformProvider": true, "TerraformEphemeralResource": true}

// parse reads a generated file, line by line.
func parse(text string) *file {
	f := &file{structures: map[string]*structure{}}
	var at *structure // what the lines are about
	var entry *member // the entry that the lines are about
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\r\n")
		if found := classLine.FindStringSubmatch(line); found != nil {
			at, entry = nil, nil
			switch {
			case roots[found[2]]:
				f.root = found[1]
				at = f.of(f.root)
			case found[2] == "ComplexObject":
				at = f.of(strings.TrimSuffix(found[1], "OutputReference"))
			}
			continue
		}
		if found := mapperLine.FindStringSubmatch(line); found != nil {
			at, entry = f.of(upperFirst(found[1])), nil
			continue
		}
		if found := kindLine.FindStringSubmatch(line); found != nil {
			f.kind = found[1]
		}
		if at == nil {
			continue
		}
		if !entry.read(line) {
			entry = at.read(line)
		}
	}
	return f
}

// read reads a line of a class or of a mapper; it gives the entry that begins
// with it.
func (s *structure) read(line string) *member {
	if found := memberLine.FindStringSubmatch(line); found != nil {
		m := s.of(found[1])
		m.computed, m.optional, m.required = found[2] == "true", found[3] == "true", found[4] == "true"
	}
	if found := getterLine.FindStringSubmatch(line); found != nil && s.members[found[2]] != nil {
		m := s.of(found[2])
		m.getter, m.asSet = found[1], strings.Contains(line, "tolist(")
	}
	if found := wrapperLine.FindStringSubmatch(line); found != nil && s.members[found[2]] != nil {
		m := s.of(found[2])
		m.wrapper, m.asSet = found[1], found[3] == "true"
	}
	if found := entryLine.FindStringSubmatch(line); found != nil {
		return s.of(found[1])
	}
	return nil
}

// read reads a line of an entry of a mapper; false when it is over.
func (m *member) read(line string) bool {
	if m == nil {
		return false
	}
	if found := valueLine.FindStringSubmatch(line); found != nil {
		m.repeated = strings.Contains(found[1], "listMapperHcl(")
		return true
	}
	if found := blockLine.FindStringSubmatch(line); found != nil {
		m.block = found[1] == "true"
		return true
	}
	if found := typeLine.FindStringSubmatch(line); found != nil {
		m.nesting = found[1]
		return true
	}
	if found := storageLine.FindStringSubmatch(line); found != nil {
		m.storage, m.entered = found[1], true
		return true
	}
	return false
}

func upperFirst(name string) string {
	first, size := utf8.DecodeRuneInString(name)
	return string(unicode.ToUpper(first)) + name[size:]
}
