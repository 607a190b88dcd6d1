package s3bucket_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/spotrelay/spotrelay/checkpointing/bucket"
	"github.com/spotrelay/spotrelay/checkpointing/bucket/servertest"
)

// TestLargeConflict: the refusal of a large object arrives, though the store
// refuses before it has read all of it and closes the connection.
func TestLargeConflict(t *testing.T) {
	b := open(t, fresh(servertest.StartS3(t, nil)))
	content := strings.Repeat("weights ", 1<<20)
	o, err := b.Put(t.Context(), "chunk", strings.NewReader(content), bucket.IfAbsent())
	if err != nil {
		t.Fatal(err)
	}
	for range 20 {
		if _, err := b.Put(t.Context(), "chunk", strings.NewReader(content), bucket.IfAbsent()); !errors.Is(err, bucket.ErrConflict) {
			t.Errorf("another write: %v", err)
		}
	}
	if _, err := b.Put(t.Context(), "chunk", strings.NewReader("changed"), bucket.IfVersion(o.Version)); err != nil {
		t.Fatal(err)
	}
	for range 20 {
		if _, err := b.Put(t.Context(), "chunk", strings.NewReader(content), bucket.IfVersion(o.Version)); !errors.Is(err, bucket.ErrConflict) {
			t.Errorf("a write over a stale version: %v", err)
		}
	}
}
