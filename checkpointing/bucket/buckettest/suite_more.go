package buckettest

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/spotrelay/spotrelay/checkpointing/bucket"
)

func testCancelled(t *testing.T, b bucket.Bucket) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := b.Put(ctx, "key", strings.NewReader("x"), bucket.Condition{})
	if !errors.Is(err, context.Canceled) || !errors.Is(err, bucket.ErrUnavailable) {
		t.Errorf("Put under an ended context: %v", err)
	}
	for _, err := range b.List(ctx, "", "") {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("List under an ended context: %v", err)
		}
	}
	if got := list(t, b, "", ""); len(got) != 0 {
		t.Errorf("a cancelled write left %q", got)
	}
}

func testProbe(t *testing.T, b bucket.Bucket) {
	if err := bucket.Probe(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	if got := list(t, b, "", ""); len(got) != 0 {
		t.Errorf("the probe left %q", got)
	}
	err := bucket.Probe(t.Context(), IgnoreConditions(b))
	wantCode(t, err, bucket.CodeUnsupported, "Probe of a bucket that ignores conditions")
	if address := b.Describe().URL; !strings.Contains(err.Error(), address) {
		t.Errorf("the refusal does not name %s: %v", address, err)
	}
	if got := list(t, b, "", ""); len(got) != 0 {
		t.Errorf("the refused probe left %q", got)
	}
}

func testIdentify(t *testing.T, b bucket.Bucket) {
	answers := make(chan bucket.Identity)
	const callers = 8
	for range callers {
		go func() {
			id, err := bucket.Identify(t.Context(), b)
			if err != nil {
				t.Errorf("Identify: %v", err)
			}
			answers <- id
		}()
	}
	first := <-answers
	for range callers - 1 {
		if id := <-answers; id != first {
			t.Errorf("two identities: %v and %v", first, id)
		}
	}
	if first.ID == "" || first.Format != bucket.Format {
		t.Errorf("the identity is %+v", first)
	}
	mustPut(t, b, "bucket.json", `{"id":"x","format":99}`, bucket.Condition{})
	_, err := bucket.Identify(t.Context(), b)
	wantCode(t, err, bucket.CodeUnsupported, "Identify of a later format")
	mustPut(t, b, "bucket.json", `[]`, bucket.Condition{})
	_, err = bucket.Identify(t.Context(), b)
	wantCode(t, err, bucket.CodeInvalid, "Identify of something else")
}

func testSub(t *testing.T, b bucket.Bucket) {
	mustPut(t, b, "outside", "x", bucket.Condition{})
	mustPut(t, b, "in/sidewards", "x", bucket.Condition{})
	s := bucket.Sub(bucket.Sub(b, "in"), "side/")
	first := mustPut(t, s, "a/1", "one", bucket.IfAbsent())
	mustPut(t, s, "a/2", "two", bucket.Condition{})
	mustPut(t, s, "a/1", "three", bucket.IfVersion(first.Version))
	if got, o := get(t, s, "a/1", 0, -1); got != "three" || o.Key != "a/1" {
		t.Errorf("Get in the Sub: %q, %+v", got, o)
	}
	if got, _ := get(t, b, "in/side/a/1", 0, -1); got != "three" {
		t.Errorf("Get outside the Sub: %q", got)
	}
	if got := list(t, s, "", ""); !slices.Equal(got, []string{"a/1", "a/2"}) {
		t.Errorf("List: %q", got)
	}
	if got := list(t, s, "a/", "a/1"); !slices.Equal(got, []string{"a/2"}) {
		t.Errorf("List after a/1: %q", got)
	}
	_, _, err := s.Get(t.Context(), "../outside", 0, -1)
	wantCode(t, err, bucket.CodeInvalid, "Get that would leave the Sub")
	for _, err := range s.List(t.Context(), "../", "") {
		wantCode(t, err, bucket.CodeInvalid, "List that would leave the Sub")
	}
	_, err = s.Put(t.Context(), "a/1", strings.NewReader(""), bucket.IfAbsent())
	var e *bucket.Error
	if !errors.As(err, &e) || e.Key != "a/1" {
		t.Errorf("an error of the Sub names %v", err)
	}
	if again, err := bucket.Open(t.Context(), s.Describe().URL); err == nil {
		defer again.Close()
		if got := list(t, again, "", ""); !slices.Equal(got, []string{"a/1", "a/2"}) {
			t.Errorf("List of the Sub opened by %s: %q", s.Describe().URL, got)
		}
	} else if !errors.Is(err, bucket.ErrUnsupported) {
		t.Errorf("Open %s: %v", s.Describe().URL, err)
	}
	if err := s.Delete(t.Context(), "a/2"); err != nil {
		t.Fatal(err)
	}
	if got := list(t, b, "", ""); !slices.Equal(got, []string{"in/side/a/1", "in/sidewards", "outside"}) {
		t.Errorf("left: %q", got)
	}
}
