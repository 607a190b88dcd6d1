package jobspec

import (
	"bytes"
	"cmp"
	"encoding/json"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
)

// Diagnostics are the errors and warnings of a job file, ordered by place,
// with the sources that they point into. The zero value has none.
type Diagnostics struct {
	List    hcl.Diagnostics
	Sources map[string][]byte
}

// Record is a diagnostic as data. Its JSON form is stable: fields are only
// added.
type Record struct {
	Severity   string `json:"severity"` // "error" or "warning"
	Summary    string `json:"summary"`
	Detail     string `json:"detail,omitempty"`
	Range      Range  `json:"range"`
	Snippet    string `json:"snippet,omitempty"`    // the source line that the range starts in
	Suggestion string `json:"suggestion,omitempty"` // what to write instead, where that is clear
}

// Range is a part of a source: from Start up to, not including, End.
type Range struct {
	File  string   `json:"file"` // as given; "-var name" for a value of the command line
	Start Position `json:"start"`
	End   Position `json:"end"`
}

// Position in a source. Line and Column count from 1, columns in characters as
// a reader sees them; Byte counts from 0.
type Position struct {
	Line   int `json:"line"`
	Column int `json:"column"`
	Byte   int `json:"byte"`
}

// HasErrors reports whether there is more than warnings.
func (d Diagnostics) HasErrors() bool { return d.List.HasErrors() }

// Len is how many diagnostics there are.
func (d Diagnostics) Len() int { return len(d.List) }

// Append adds the diagnostics of another list, with their sources.
func (d *Diagnostics) Append(more Diagnostics) {
	d.List = append(d.List, more.List...)
	for name, text := range more.Sources {
		if d.Sources == nil {
			d.Sources = map[string][]byte{}
		}
		d.Sources[name] = text
	}
}

// Err is the diagnostics as an error, nil when none is an error. Its text has
// one line for each error.
func (d Diagnostics) Err() error {
	if !d.HasErrors() {
		return nil
	}
	return &Error{Diagnostics: d}
}

// Error is a job file that could not be read.
type Error struct{ Diagnostics Diagnostics }

func (e *Error) Error() string {
	var lines []string
	for _, diag := range e.Diagnostics.List {
		if diag.Severity == hcl.DiagError {
			lines = append(lines, diag.Subject.String()+": "+diag.Summary)
		}
	}
	return strings.Join(lines, "\n")
}

// Records are the diagnostics as data, in order.
func (d Diagnostics) Records() []Record {
	records := make([]Record, 0, len(d.List))
	for _, diag := range d.List {
		record := Record{Severity: severityName(diag.Severity), Summary: diag.Summary, Detail: diag.Detail, Suggestion: suggestionOf(diag)}
		if diag.Subject != nil {
			record.Range = Range{File: diag.Subject.Filename, Start: Position(diag.Subject.Start), End: Position(diag.Subject.End)}
			record.Snippet = lineAt(d.Sources[diag.Subject.Filename], diag.Subject.Start.Byte).text
		}
		records = append(records, record)
	}
	return records
}

// JSON is Records as a JSON array.
func (d Diagnostics) JSON() []byte {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(d.Records()); err != nil { // strings and numbers alone: cannot happen
		panic(err)
	}
	return bytes.TrimSuffix(out.Bytes(), []byte("\n"))
}

func severityName(severity hcl.DiagnosticSeverity) string {
	if severity == hcl.DiagWarning {
		return "warning"
	}
	return "error"
}

// extra is what a diagnostic of ours carries beside HCL's fields.
type extra struct {
	suggestion string
	block      string // `task "train"`, where the subject is inside of it
}

func suggestionOf(diag *hcl.Diagnostic) string {
	if more, ok := diag.Extra.(extra); ok {
		return more.suggestion
	}
	return ""
}

func blockOf(diag *hcl.Diagnostic) string {
	if more, ok := diag.Extra.(extra); ok {
		return more.block
	}
	return ""
}

// arrange orders diagnostics by place and drops repetitions.
func arrange(list hcl.Diagnostics, rank func(file string) int) hcl.Diagnostics {
	slices.SortStableFunc(list, func(a, b *hcl.Diagnostic) int {
		return cmp.Or(
			cmp.Compare(rank(a.Subject.Filename), rank(b.Subject.Filename)),
			cmp.Compare(a.Subject.Filename, b.Subject.Filename),
			cmp.Compare(a.Subject.Start.Byte, b.Subject.Start.Byte),
		)
	})
	return slices.CompactFunc(list, func(a, b *hcl.Diagnostic) bool {
		return *a.Subject == *b.Subject && a.Summary == b.Summary && a.Detail == b.Detail
	})
}
