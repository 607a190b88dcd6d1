package gcp

import (
	"maps"
	"regexp"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/spotrelay/spotrelay/providers"
)

var (
	keyForm   = regexp.MustCompile(`^[a-z][a-z0-9_-]{0,62}$`)
	valueForm = regexp.MustCompile(`^[a-z0-9_-]{0,63}$`)
)

// All tags come back out of the labels and the metadata, whatever is in them,
// and the labels are such that Compute takes them.
func TestLabelsAreReversible(t *testing.T) {
	key := rapid.OneOf(rapid.StringMatching(`[a-z-]{1,20}`), rapid.String(), rapid.StringMatching(`[A-Z_x]{1,30}`))
	text := rapid.OneOf(rapid.StringMatching(`[a-z0-9-]{0,70}`), rapid.String(), rapid.StringMatching(`[A-Z0-9]{0,70}`), rapid.StringMatching(`[a-z_A-Z-]{0,40}`))
	rapid.Check(t, func(t *rapid.T) {
		tags := rapid.MapOfN(key, text, 0, 70).Draw(t, "tags")
		delete(tags, digestLabel)
		delete(tags, restLabel)
		labels, rest := labelsOf(tags)
		if len(labels) > maxLabels {
			t.Fatalf("%d labels", len(labels))
		}
		for key, value := range labels {
			if !keyForm.MatchString(key) || !valueForm.MatchString(value) {
				t.Fatalf("%q = %q is no label", key, value)
			}
		}
		got, more := tagsOf(labels)
		for key := range rest {
			if label, ok := labelKey(key); ok && labels[label] != "" && !more {
				t.Fatalf("nothing says that %q is in the metadata", key)
			}
		}
		maps.Copy(got, rest)
		if !maps.Equal(got, tags) {
			t.Fatalf("%q became %q", tags, got)
		}
	})
}

func TestLabelsForPeople(t *testing.T) {
	for tag, want := range map[string]string{
		"01jd00000000000000000000aa":       "01jd00000000000000000000aa",
		"01JD00000000000000000000AA":       "_-u01jd00000000000000000000aa",
		"Team A":                           "_team_032_a",
		"a_b":                              "a__b",
		"":                                 "",
		strings.Repeat("long-and-Odd ", 9): "_-h",
	} {
		got, _ := labelValue(tag)
		if got != want && !(want == "_-h" && strings.HasPrefix(got, want)) {
			t.Errorf("%q becomes %q; want %q", tag, got, want)
		}
	}
	for _, key := range []string{providers.TagBucket, providers.TagRun, providers.TagFleet, providers.TagIntent} {
		if got, ok := labelKey(key); got != key || !ok {
			t.Errorf("the tag %s becomes the label %s", key, got)
		}
	}
}

// Whatever stands in labels that others set, reading them does not fail.
func FuzzTagsOf(f *testing.F) {
	f.Add("a", "_")
	f.Add("_", "_25")
	f.Add("x_-", "_999")
	f.Fuzz(func(t *testing.T, key, value string) {
		tags, _ := tagsOf(map[string]string{key: value})
		if len(tags) > 1 {
			t.Errorf("%q", tags)
		}
	})
}
