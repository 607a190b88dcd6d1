package job

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func anyRef(t *rapid.T, label string) *CheckpointRef {
	var ref *CheckpointRef
	for _, name := range []string{"", "a", "b"} {
		if rapid.Bool().Draw(t, label+name) {
			ref = ref.With(name, CheckpointRef{
				Key: name + label, Attempt: rapid.IntRange(1, 3).Draw(t, "attempt"), Sequence: int64(rapid.IntRange(1, 3).Draw(t, "sequence")),
			})
		}
	}
	return ref
}

// Of each series the newer one is taken, and neither side changes.
func TestNewest(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := anyRef(t, "x"), anyRef(t, "y")
		keysA, keysB := a.Keys(), b.Keys()
		got := Newest(a, b)
		for _, name := range []string{"", "a", "b"} {
			ofA, hasA := a.Of(name)
			ofB, hasB := b.Of(name)
			want, has := ofA, hasA
			if !hasA || hasB && (ofB.Attempt > ofA.Attempt || ofB.Attempt == ofA.Attempt && ofB.Sequence > ofA.Sequence) {
				want, has = ofB, hasB
			}
			if ref, ok := got.Of(name); ok != has || ref.Key != want.Key || ref.Attempt != want.Attempt || ref.Sequence != want.Sequence {
				t.Fatalf("of %q it takes %+v, not %+v", name, ref, want)
			}
		}
		if !slices.Equal(keysA, a.Keys()) || !slices.Equal(keysB, b.Keys()) {
			t.Fatal("what it was given has changed")
		}
		if (got == nil) != (a == nil && b == nil) || len(got.Series()) != len(got.Keys()) {
			t.Fatalf("series %q, keys %q", got.Series(), got.Keys())
		}
	})
}
