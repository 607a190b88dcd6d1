package gcsbucket_test

import (
	"fmt"
	"os"
	"sync/atomic"
	"testing"

	"github.com/spotrelay/spotrelay/checkpointing/bucket"
	"github.com/spotrelay/spotrelay/checkpointing/bucket/buckettest"
	_ "github.com/spotrelay/spotrelay/checkpointing/bucket/gcsbucket" // registers gs://
	"github.com/spotrelay/spotrelay/checkpointing/bucket/servertest"
)

// caVariable tells the suite's child processes that SSL_CERT_FILE is set.
const caVariable = "SPOTRELAY_GCSBUCKET_TEST_CA"

var (
	authority *servertest.Authority
	prefixes  atomic.Int64
)

func TestMain(m *testing.M) { os.Exit(run(m)) }

// run makes the process trust the test's own authority; Go reads SSL_CERT_FILE
// once, so it cannot be a test that sets it.
func run(m *testing.M) int {
	if os.Getenv(caVariable) == "" {
		dir, err := os.MkdirTemp("", "spotrelay-test-")
		if err != nil {
			panic(err)
		}
		defer os.RemoveAll(dir)
		if authority, err = servertest.NewAuthority(dir); err != nil {
			panic(err)
		}
		os.Setenv(caVariable, authority.CAFile)
		os.Setenv("SSL_CERT_FILE", authority.CAFile)
	}
	return buckettest.Main(m)
}

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
	server := servertest.StartGCS(t, nil)
	buckettest.Run(t, func(t *testing.T) bucket.Bucket { return open(t, fresh(server)) })
}

// TestOverTLS trusts the server by SSL_CERT_FILE.
func TestOverTLS(t *testing.T) {
	server := servertest.StartGCS(t, authority)
	buckettest.Run(t, func(t *testing.T) bucket.Bucket { return open(t, fresh(server)) })
}
