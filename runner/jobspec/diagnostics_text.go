package jobspec

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/hashicorp/hcl/v2"
	"github.com/mattn/go-runewidth"
)

const (
	colorReset  = "\x1b[0m"
	colorBold   = "\x1b[1m"
	colorRed    = "\x1b[31m"
	colorYellow = "\x1b[33m"
	colorDim    = "\x1b[2m"
)

// WriteText writes the diagnostics for people: place, snippet with the range
// underlined, what to do. Lines are folded to width, 0 for not at all; color
// uses ANSI escapes. Errors are the writer's.
func (d Diagnostics) WriteText(w io.Writer, color bool, width int) error {
	var out bytes.Buffer
	for i, diag := range d.List {
		if i > 0 {
			out.WriteByte('\n')
		}
		d.writeOne(&out, diag, palette(color), width)
	}
	_, err := w.Write(out.Bytes())
	return err
}

// palette wraps text in a color, or leaves it.
type palette bool

func (p palette) paint(color, text string) string {
	if !p {
		return text
	}
	return color + text + colorReset
}

func (d Diagnostics) writeOne(out *bytes.Buffer, diag *hcl.Diagnostic, p palette, width int) {
	title, color := "Error", colorRed
	if diag.Severity == hcl.DiagWarning {
		title, color = "Warning", colorYellow
	}
	fmt.Fprintf(out, "%s %s\n", p.paint(colorBold+color, title+":"), p.paint(colorBold, printable(diag.Summary)))
	if diag.Subject != nil {
		d.writePlace(out, diag, p, color, width)
	}
	if diag.Detail != "" {
		out.WriteByte('\n')
		for _, line := range fold(printable(diag.Detail), width-2) {
			fmt.Fprintf(out, "  %s\n", line)
		}
	}
	if suggestion := suggestionOf(diag); suggestion != "" {
		fmt.Fprintf(out, "\n  Did you mean %s?\n", p.paint(colorBold, printable(suggestion)))
	}
}

func (d Diagnostics) writePlace(out *bytes.Buffer, diag *hcl.Diagnostic, p palette, color string, width int) {
	subject := *diag.Subject
	source, known := d.Sources[subject.Filename]
	if !known {
		fmt.Fprintf(out, "\n  on %s\n", printable(subject.Filename))
		return
	}
	where := fmt.Sprintf("on %s line %d, column %d", printable(subject.Filename), subject.Start.Line, subject.Start.Column)
	if block := blockOf(diag); block != "" {
		where += ", in " + printable(block)
	}
	fmt.Fprintf(out, "\n  %s:\n", where)
	line := lineAt(source, subject.Start.Byte)
	from := min(max(subject.Start.Byte-line.start, 0), len(line.text))
	to := len(line.text)
	if subject.End.Byte <= line.start+len(line.text) {
		to = max(subject.End.Byte-line.start, from)
	}
	before, marked, after := layOut(line.text[:from]), layOut(line.text[from:to]), layOut(line.text[to:])
	number := fmt.Sprintf("  %4d: ", subject.Start.Line)
	before, marked, after = window(before, marked, after, width-len(number))
	fmt.Fprintf(out, "%s%s%s%s\n", p.paint(colorDim, number), before, p.paint(color, marked), after)
	carets := strings.Repeat("^", max(runewidth.StringWidth(marked), 1))
	fmt.Fprintf(out, "%s%s\n", strings.Repeat(" ", len(number)+runewidth.StringWidth(before)), p.paint(color, carets))
}

// window cuts a long line to width around what is marked.
func window(before, marked, after string, width int) (string, string, string) {
	if width < 20 || runewidth.StringWidth(before+marked+after) <= width {
		return before, marked, after
	}
	if keep := width / 3; runewidth.StringWidth(before) > keep {
		before = "…" + runewidth.TruncateLeft(before, runewidth.StringWidth(before)-keep, "")
	}
	left := max(width-runewidth.StringWidth(before), 10)
	if runewidth.StringWidth(marked) > left {
		return before, runewidth.Truncate(marked, left, "…"), ""
	}
	left -= runewidth.StringWidth(marked)
	return before, marked, runewidth.Truncate(after, left, "…")
}

// sourceLine is one line of a source, without its line break.
type sourceLine struct {
	text  string
	start int // byte offset of its first character
}

func lineAt(source []byte, offset int) sourceLine {
	offset = min(max(offset, 0), len(source))
	start := bytes.LastIndexByte(source[:offset], '\n') + 1
	end := len(source)
	if i := bytes.IndexByte(source[offset:], '\n'); i >= 0 {
		end = offset + i
	}
	text := strings.TrimSuffix(string(source[start:end]), "\r")
	return sourceLine{text: text, start: start}
}

// layOut makes a source line fit for a terminal: tabs become spaces, and what
// would move the cursor or is no text a replacement character.
func layOut(text string) string { return printable(strings.ReplaceAll(text, "\t", "    ")) }

func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if r == '\n' || r == ' ' || unicode.IsPrint(r) {
			return r
		}
		return utf8.RuneError
	}, text)
}

// fold breaks text at spaces into lines of at most width columns; indented
// lines stay whole.
func fold(text string, width int) []string {
	var lines []string
	for _, paragraph := range strings.Split(text, "\n") {
		if width < 20 || runewidth.StringWidth(paragraph) <= width || strings.HasPrefix(paragraph, " ") {
			lines = append(lines, paragraph)
			continue
		}
		line := ""
		for _, word := range strings.Fields(paragraph) {
			if line != "" && runewidth.StringWidth(line)+1+runewidth.StringWidth(word) > width {
				lines = append(lines, line)
				line = ""
			}
			if line != "" {
				line += " "
			}
			line += word
		}
		lines = append(lines, line)
	}
	return lines
}
