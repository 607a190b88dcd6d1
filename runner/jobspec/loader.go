package jobspec

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"
)

// loader reads one job: it collects sources and diagnostics.
type loader struct {
	opts    Options
	sources map[string][]byte
	order   map[string]int // of the files, for the order of diagnostics
	list    hcl.Diagnostics
	block   string // the block that is being read, for diagnostics
	folder  string // of the job file
	bodies  []*hclsyntax.Body
	paths   []string

	ctx       *hcl.EvalContext
	functions map[string]function.Function
	analysed  map[hclsyntax.Expression]*references
	tokens    *tokens
	used      map[string]bool // "var.x" and "local.x" that something refers to

	variables  map[string]*variable
	locals     hclsyntax.Attributes
	tasks      map[string]*task
	taskOrder  []*task
	inputs     map[string]*content
	inputOrder []*content
	fleets     map[string]*fleet
	fleetOrder []*fleet
	providers  map[string]*content
	described  map[string]described
	configs    map[string]fleetRanges
	jobHeader  hcl.Range

	cachePatterns []cachePattern // of all tasks
}

func newLoader(opts Options) *loader {
	return &loader{
		opts: opts, sources: map[string][]byte{}, order: map[string]int{},
		analysed: map[hclsyntax.Expression]*references{}, used: map[string]bool{},
		variables: map[string]*variable{}, locals: hclsyntax.Attributes{}, tasks: map[string]*task{}, inputs: map[string]*content{}, fleets: map[string]*fleet{},
		providers: map[string]*content{}, described: map[string]described{}, configs: map[string]fleetRanges{},
	}
}

// load reads the files in the order in which one thing needs the other: names
// before references, variables before locals, both before the job.
func (l *loader) load() *File {
	l.parse()
	if l.list.HasErrors() || len(l.bodies) == 0 {
		return nil
	}
	first := startOf(l.paths[0])
	top := l.sort(language, first, l.bodies...)
	l.functions = functionsFor(l.folder)
	l.ctx = &hcl.EvalContext{Functions: l.functions, Variables: map[string]cty.Value{}}
	block := top.first(jobSchema)
	if block == nil && !l.hasBlock(jobSchema.name) {
		l.report(report{at: first, summary: "No job in the file", detail: "A job file has one job block: job \"name\" { ... }."})
	}
	if block != nil {
		l.ctx.Variables["job"] = jobValue(block)
	} else {
		l.ctx.Variables["job"] = cty.DynamicVal
	}
	l.declareVariables(top)
	l.ctx.Variables["var"] = l.variablesValue()
	l.tokens = newTokens(l.sources)
	l.declareLocals(top)
	l.validate()
	l.declareFleets(top)
	if block == nil {
		return nil
	}
	file := l.readJob(block)
	if !l.list.HasErrors() { // what refers to it may be what is wrong
		l.warnUnused()
	}
	return file
}

// hasBlock reports whether there is a block of a type at the top, if only a
// faulty one.
func (l *loader) hasBlock(kind string) bool {
	for _, body := range l.bodies {
		for _, block := range body.Blocks {
			if block.Type == kind {
				return true
			}
		}
	}
	return false
}

func (l *loader) diagnostics() Diagnostics {
	list := arrange(l.list, func(file string) int {
		if rank, ok := l.order[file]; ok {
			return rank
		}
		return len(l.order)
	})
	return Diagnostics{List: list, Sources: l.sources}
}

// report is how a diagnostic is made.
type report struct {
	at         hcl.Range
	summary    string
	detail     string
	suggestion string
	warning    bool
}

func (l *loader) report(r report) {
	severity := hcl.DiagError
	if r.warning {
		severity = hcl.DiagWarning
	}
	l.list = append(l.list, &hcl.Diagnostic{
		Severity: severity, Summary: r.summary, Detail: r.detail, Subject: &r.at,
		Extra: extra{suggestion: r.suggestion, block: l.block},
	})
}

// adopt takes HCL's own diagnostics over; each gets a range if it has none.
func (l *loader) adopt(list hcl.Diagnostics, fallback hcl.Range) {
	for _, diag := range list {
		taken := *diag
		if taken.Subject == nil {
			taken.Subject = &fallback
		}
		taken.Extra = extra{block: l.block}
		l.list = append(l.list, &taken)
	}
}

// startOf is the range for what is wrong with a file as a whole.
func startOf(path string) hcl.Range {
	return hcl.Range{Filename: path, Start: hcl.InitialPos, End: hcl.InitialPos}
}

// parse reads and parses the files. Syntax errors end the reading, since what
// follows from a broken file is noise.
func (l *loader) parse() {
	if len(l.opts.Files) == 0 {
		l.report(report{at: startOf("job file"), summary: "No job file", detail: "Name a job file, a folder that holds one, or - for the standard input."})
		return
	}
	for i, path := range l.opts.Files {
		files, folder := l.filesOf(path)
		if i == 0 {
			l.folder = folder
		}
		for _, file := range files {
			l.parseFile(file)
		}
	}
}

// filesOf gives the files that a path stands for.
func (l *loader) filesOf(path string) (files []string, folder string) {
	if path == "-" {
		return []string{"-"}, folderOf(path, false)
	}
	info, err := os.Stat(path)
	if err != nil {
		l.unreadable(path, err)
		return nil, folderOf(path, false)
	}
	if !info.IsDir() {
		return []string{path}, folderOf(path, false)
	}
	entries, err := os.ReadDir(path)
	if err != nil {
		l.unreadable(path, err)
		return nil, folderOf(path, true)
	}
	for _, entry := range entries {
		if !entry.IsDir() && strings.HasSuffix(entry.Name(), ".hcl") && !strings.HasPrefix(entry.Name(), ".") {
			files = append(files, filepath.Join(path, entry.Name()))
		}
	}
	if len(files) == 0 {
		l.report(report{at: startOf(path), summary: "No job file in this folder", detail: fmt.Sprintf("%s holds no file whose name ends in .hcl.", path)})
	}
	slices.Sort(files)
	return files, folderOf(path, true)
}

func (l *loader) unreadable(path string, err error) {
	detail := err.Error()
	if errors.Is(err, fs.ErrNotExist) {
		detail = fmt.Sprintf("There is no file or folder %s.", path)
	}
	l.report(report{at: startOf(path), summary: "Cannot read the file", detail: detail})
}

const maxFileBytes = 16 << 20

func (l *loader) parseFile(path string) {
	name, text := path, l.opts.Stdin
	if path == "-" {
		name = "<stdin>"
	}
	if _, again := l.sources[name]; again {
		return
	}
	if path != "-" {
		var err error
		if text, err = os.ReadFile(path); err != nil {
			l.unreadable(path, err)
			return
		}
	}
	if len(text) > maxFileBytes {
		l.report(report{at: startOf(path), summary: "Job file too large", detail: fmt.Sprintf("%s has %d bytes; at most %d are read.", path, len(text), maxFileBytes)})
		return
	}
	l.order[name] = len(l.order)
	l.sources[name] = text
	l.paths = append(l.paths, name)
	file, diags := hclsyntax.ParseConfig(text, name, hcl.InitialPos)
	l.adopt(diags, startOf(name))
	if body, ok := file.Body.(*hclsyntax.Body); ok {
		l.bodies = append(l.bodies, body)
	}
}
