// Package servertest starts real object stores on loopback for tests: an S3
// server (versitygw) and a GCS server (fake-gcs-server), both built from the
// Go module proxy, and a proxy in front of them that loses answers.
//
// The servers are built once for a user, into the cache directory, and only
// where that is wanted: see Variable.
package servertest

import (
	"context"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// Bucket is the name of the bucket that each server starts with.
const Bucket = "spotrelay-test"

// The credentials of the S3 server.
const (
	AccessKey = "spotrelay-test-key"
	SecretKey = "spotrelay-test-secret"
)

var (
	versitygw = program{"versitygw", "github.com/versity/versitygw/cmd/versitygw", "v1.8.0"}
	fakeGCS   = program{"fake-gcs-server", "github.com/fsouza/fake-gcs-server", "v1.56.1"}
)

// Server is a store that runs until the test ends.
type Server struct {
	Endpoint string // http://127.0.0.1:PORT, or https://
	store    string // s3 or gs
}

// StartS3 starts an S3 server with an empty bucket, over TLS when authority is
// not nil, and gives this process the credentials for it and no others.
func StartS3(t testing.TB, authority *Authority) *Server {
	t.Helper()
	address := start(t, launchS3(t, authority, t.TempDir()))
	giveCredentials(t, authority)
	return &Server{Endpoint: authority.scheme() + "://" + address, store: "s3"}
}

// launchS3 is an S3 server that keeps its objects below root.
func launchS3(t testing.TB, authority *Authority, root string) launch {
	t.Helper()
	binary := versitygw.binary(t)
	if err := os.Mkdir(filepath.Join(root, Bucket), 0o755); err != nil {
		t.Fatal(err)
	}
	client := authority.client()
	return launch{
		command: func(port string) *exec.Cmd {
			args := []string{"--port", "127.0.0.1:" + port, "--keep-alive", "--quiet"}
			if authority != nil {
				args = append(args, "--cert", authority.CertFile, "--key", authority.KeyFile)
			}
			c := exec.CommandContext(context.WithoutCancel(t.Context()), binary, append(args, "posix", root)...)
			c.Env = append(os.Environ(), "ROOT_ACCESS_KEY="+AccessKey, "ROOT_SECRET_KEY="+SecretKey)
			return c
		},
		probe: func(ctx context.Context, hostport string) error {
			return request(ctx, client, http.MethodGet, authority.scheme()+"://"+hostport+"/", "")
		},
	}
}

// giveCredentials gives this process those of the S3 server and no others.
func giveCredentials(t testing.TB, authority *Authority) {
	t.Helper()
	IsolateAWS(t)
	t.Setenv("AWS_ACCESS_KEY_ID", AccessKey)
	t.Setenv("AWS_SECRET_ACCESS_KEY", SecretKey)
	if authority != nil {
		t.Setenv("AWS_CA_BUNDLE", authority.CAFile)
	}
}

// IsolateAWS hides what this machine knows of AWS, for the time of the test.
func IsolateAWS(t testing.TB) {
	t.Helper()
	nothing := filepath.Join(t.TempDir(), "none")
	t.Setenv("AWS_CONFIG_FILE", nothing)
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", nothing)
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	for _, name := range []string{
		"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE", "AWS_REGION", "AWS_DEFAULT_REGION",
		"AWS_CA_BUNDLE", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_ROLE_ARN", "AWS_WEB_IDENTITY_TOKEN_FILE",
		"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_CREDENTIALS_FULL_URI",
	} {
		t.Setenv(name, "")
	}
}

// StartGCS starts a GCS server with an empty bucket, over TLS when authority
// is not nil. It asks for no credentials.
func StartGCS(t testing.TB, authority *Authority) *Server {
	t.Helper()
	binary := fakeGCS.binary(t)
	command := func(port string) *exec.Cmd {
		args := []string{
			"-host", "127.0.0.1", "-port", port, "-public-host", "127.0.0.1:" + port,
			"-backend", "memory", "-log-level", "error", "-scheme", authority.scheme(),
		}
		if authority != nil {
			args = append(args, "-cert-location", authority.CertFile, "-private-key-location", authority.KeyFile)
		}
		return exec.CommandContext(context.WithoutCancel(t.Context()), binary, args...)
	}
	client := authority.client()
	address := start(t, launch{command, func(ctx context.Context, hostport string) error {
		return request(ctx, client, http.MethodPost, authority.scheme()+"://"+hostport+"/storage/v1/b?project=test", `{"name":"`+Bucket+`"}`)
	}})
	t.Setenv("STORAGE_EMULATOR_HOST", "")
	return &Server{Endpoint: authority.scheme() + "://" + address, store: "gs"}
}

// URL is the address of prefix in the server's bucket.
func (s *Server) URL(prefix string) string { return s.URLOf(Bucket, prefix) }

// URLOf is the address of prefix in a bucket of that name, there or not.
func (s *Server) URLOf(name, prefix string) string {
	query := url.Values{"endpoint": {s.Endpoint}}
	if s.store == "gs" {
		query.Set("anonymous", "true")
	}
	u := url.URL{Scheme: s.store, Host: name, Path: "/" + prefix, RawQuery: query.Encode()}
	return u.String()
}
