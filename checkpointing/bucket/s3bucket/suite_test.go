package s3bucket_test

import (
	"fmt"
	"os"
	"sync/atomic"
	"testing"

	"github.com/spotrelay/spotrelay/checkpointing/bucket"
	"github.com/spotrelay/spotrelay/checkpointing/bucket/buckettest"
	_ "github.com/spotrelay/spotrelay/checkpointing/bucket/s3bucket" // registers s3://
	"github.com/spotrelay/spotrelay/checkpointing/bucket/servertest"
)

func TestMain(m *testing.M) { os.Exit(buckettest.Main(m)) }

var prefixes atomic.Int64

// fresh is an address in server's bucket that no test has had.
func fresh(server *servertest.Server) string {
	return server.URL(fmt.Sprintf("prefix/%d", prefixes.Add(1)))
}

func open(t *testing.T, address string) bucket.Bucket {
	t.Helper()
	b, err := bucket.Open(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return b
}

func TestOverHTTP(t *testing.T) {
	server := servertest.StartS3(t, nil)
	buckettest.Run(t, func(t *testing.T) bucket.Bucket { return open(t, fresh(server)) })
}

// TestOverTLS trusts the server by AWS_CA_BUNDLE.
func TestOverTLS(t *testing.T) {
	authority, err := servertest.NewAuthority(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	server := servertest.StartS3(t, authority)
	buckettest.Run(t, func(t *testing.T) bucket.Bucket { return open(t, fresh(server)) })
}
