package job

import (
	"maps"
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestParseResult(t *testing.T) {
	for text, want := range map[string]map[string]string{
		"":                          nil,
		"\n\r\n":                    nil,
		"a=1":                       {"a": "1"},
		"a=1\nB_2=x=y \r\n\n_=\n":   {"a": "1", "B_2": "x=y ", "_": ""},
		"a=1\na=2\n":                {"a": "2"},
		"path=/a b\ttab, ünïcode\n": {"path": "/a b\ttab, ünïcode"},
	} {
		got, err := ParseResult([]byte(text))
		if err != nil || !maps.Equal(got, want) {
			t.Errorf("%q: got %q, %v, want %q", text, got, err, want)
		}
	}
	for text, want := range map[string]string{
		"a=1\nno line":                       "line 2 is not KEY=VALUE",
		"=x":                                 "line 1: a key has letters",
		"1a=x":                               "does not fit",
		"a b=x":                              "does not fit",
		"a=\xff":                             "is not UTF-8",
		"a=x\x00y":                           "is not UTF-8",
		"a=" + strings.Repeat("x", 64<<10):   "more than 65536 bytes",
		strings.Repeat("long", 100) + "\na=": `longlong..."`,
	} {
		if _, err := ParseResult([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40q: got %v, want %q", text, err, want)
		}
	}
}

// TestResultsMeanThemselves: whatever a result holds, and whatever text and
// placeholders stand around it, the program is given the value as it was
// written.
func TestResultsMeanThemselves(t *testing.T) {
	text := rapid.StringMatching(`[@{}at:x]{0,8}`)
	ref := ResultRef{Task: "task-1", Index: 3, Key: "Key_1"}
	rapid.Check(t, func(t *rapid.T) {
		written, want := "", ""
		result := text.Draw(t, "result")
		for range rapid.IntRange(0, 4).Draw(t, "placeholders") {
			part := text.Draw(t, "part")
			written, want = written+EscapeBeforePlaceholder(part), want+part
			if rapid.Bool().Draw(t, "is a result") {
				written, want = written+ResultPlaceholder(ref), want+result
			} else {
				written, want = written+InputPlaceholder("other", -1), want+"/other"
			}
		}
		last := text.Draw(t, "last")
		written, want = written+EscapePlaceholders(last), want+last
		expanded := ExpandResults(written, func(got ResultRef) string {
			if got != ref {
				t.Fatalf("asked for %+v", got)
			}
			return result
		})
		got := ExpandPlaceholders(expanded, func(name string) string { return "/" + strings.TrimPrefix(name, "input:") })
		if got != want {
			t.Fatalf("%q became %q and then %q, want %q", written, expanded, got, want)
		}
	})
}

func TestInputIndexes(t *testing.T) {
	text := "x" + InputPlaceholder("a", 3) + InputPlaceholder("ab", 1) + "@@{input:a:4}" + InputPlaceholder("a", -1) + InputPlaceholder("a", 0)
	if got := InputIndexes(text, "a"); !reflect.DeepEqual(got, []int{3, -1, 0}) {
		t.Errorf("got %v", got)
	}
	if got := InputIndexes(text, "b"); got != nil {
		t.Errorf("of a task that is not there: %v", got)
	}
}

func FuzzParseResult(f *testing.F) {
	for _, seed := range []string{"", "a=1\nb=2", "a", "=", "a=\r\n", "\xff=\x00"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		result, err := ParseResult(text)
		if err != nil && result != nil {
			t.Fatal("a result and an error")
		}
		var again strings.Builder
		for key, value := range result {
			if !IsResultKey(key) || strings.ContainsAny(value, "\n\x00") {
				t.Fatalf("%q=%q", key, value)
			}
			again.WriteString(key + "=" + value + "\r\n")
		}
		second, err := ParseResult([]byte(again.String()))
		if again.Len() <= MaxResultBytes && (err != nil || !maps.Equal(result, second)) {
			t.Fatalf("%q came back as %q, %v", result, second, err)
		}
	})
}
