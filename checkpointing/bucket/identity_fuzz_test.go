package bucket_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/spotrelay/spotrelay/checkpointing/bucket"
	"github.com/spotrelay/spotrelay/checkpointing/bucket/buckettest/memory"
)

// FuzzIdentity: a bucket.json is an identity of a format that is known, or the
// bucket is refused and left as it is.
func FuzzIdentity(f *testing.F) {
	f.Add([]byte(`{"id":"abcdefghijklmnopqrstuvwxyz","format":1}`))
	f.Add([]byte(`{"id":"","format":1}`))
	f.Add([]byte(`{"id":"a","format":2}`))
	f.Add([]byte(`[]`))
	f.Fuzz(func(t *testing.T, data []byte) {
		b := memory.New("fuzz")
		if _, err := b.Put(t.Context(), "bucket.json", bytes.NewReader(data), bucket.Condition{}); err != nil {
			t.Fatal(err)
		}
		id, err := bucket.Identify(t.Context(), b)
		if err != nil && !errors.Is(err, bucket.ErrInvalid) && !errors.Is(err, bucket.ErrUnsupported) {
			t.Fatalf("it is refused with %v", err)
		}
		if err == nil && (id.ID == "" || id.Format != bucket.Format) {
			t.Fatalf("it was taken for %+v", id)
		}
	})
}
