package bucket_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/spotrelay/spotrelay/checkpointing/bucket"
	"github.com/spotrelay/spotrelay/checkpointing/bucket/buckettest"
)

func TestMain(m *testing.M) { os.Exit(buckettest.Main(m)) }

func TestFolder(t *testing.T) {
	buckettest.Run(t, func(t *testing.T) bucket.Bucket {
		b, err := bucket.Open(t.Context(), filepath.Join(t.TempDir(), "bucket"))
		if err != nil {
			t.Fatal(err)
		}
		return b
	})
}

// TestSub holds the view to the same promises.
func TestSub(t *testing.T) {
	buckettest.Run(t, func(t *testing.T) bucket.Bucket {
		b, err := bucket.Open(t.Context(), filepath.Join(t.TempDir(), "bucket"))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { b.Close() })
		return bucket.Sub(b, "some/prefix")
	})
}
