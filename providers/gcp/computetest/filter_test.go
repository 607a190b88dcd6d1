package computetest

import "testing"

// Whatever the text, the parser ends, and what it takes can be applied.
func FuzzFilter(f *testing.F) {
	for _, text := range []string{`(a = "b") AND (c != d) OR e:*`, `((((a<1))))`, `a = "b\"c"`, `"`, `a !`, `( ( a`} {
		f.Add(text)
	}
	f.Fuzz(func(_ *testing.T, text string) {
		if parsed, err := parseFilter(text); err == nil {
			parsed.matches(object{"a": "b", "e": object{"f": 1.5}})
		}
	})
}
