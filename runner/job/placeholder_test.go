package job

import (
	"testing"

	"pgregory.net/rapid"
)

func TestPlaceholders(t *testing.T) {
	value := func(name string) string { return "<" + name + ">" }
	for text, want := range map[string]string{
		"":                                   "",
		"plain @ { } text":                   "plain @ { } text",
		InputPlaceholder("features", -1):     "<input:features>",
		InputPlaceholder("features", 3):      "<input:features:3>",
		"a/" + InputPlaceholder("f", 0):      "a/<input:f:0>",
		"@@{input:x}":                        "@{input:x}",
		"@@@{x}":                             "@@{x}",
		"@{at}@{x}":                          "@<x>",
		"@{unclosed":                         "@{unclosed",
		"@{a}@{b}":                           "<a><b>",
		EscapePlaceholders("@{x} @{at} @@{"): "@{x} @{at} @@{",
	} {
		if got := ExpandPlaceholders(text, value); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
}

// TestEscapedTextIsItself: user text and placeholders in any row, each escaped
// for what follows it, expand to the text and the values.
func TestEscapedTextIsItself(t *testing.T) {
	text := rapid.StringMatching(`[@{}at:x]{0,8}`)
	rapid.Check(t, func(t *rapid.T) {
		written, want := "", ""
		for range rapid.IntRange(0, 4).Draw(t, "placeholders") {
			part := text.Draw(t, "part")
			index := rapid.IntRange(-1, 12).Draw(t, "index")
			written += EscapeBeforePlaceholder(part) + InputPlaceholder("task-1", index)
			placeholder := InputPlaceholder("task-1", index)
			want += part + "/" + placeholder[2:len(placeholder)-1]
		}
		last := text.Draw(t, "last")
		written, want = written+EscapePlaceholders(last), want+last
		if got := ExpandPlaceholders(written, func(name string) string { return "/" + name }); got != want {
			t.Fatalf("%q became %q, want %q", written, got, want)
		}
	})
}
