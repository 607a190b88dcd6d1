package memory_test

import (
	"os"
	"testing"

	"github.com/spotrelay/spotrelay/checkpointing/bucket"
	"github.com/spotrelay/spotrelay/checkpointing/bucket/buckettest"
	"github.com/spotrelay/spotrelay/checkpointing/bucket/buckettest/memory"
)

func TestMain(m *testing.M) { os.Exit(buckettest.Main(m)) }

func TestConformance(t *testing.T) {
	buckettest.Run(t, func(*testing.T) bucket.Bucket { return memory.New("test") })
}
