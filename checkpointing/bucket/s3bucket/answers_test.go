package s3bucket_test

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/pem"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spotrelay/spotrelay/checkpointing/bucket"
	"github.com/spotrelay/spotrelay/checkpointing/bucket/servertest"
)

// someCredentials gives the test credentials and no other knowledge of AWS.
func someCredentials(t *testing.T) {
	t.Helper()
	servertest.IsolateAWS(t)
	t.Setenv("AWS_ACCESS_KEY_ID", "key")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "secret")
}

// answering is a bucket whose store gives every request the same answer.
func answering(t *testing.T, handler http.HandlerFunc) bucket.Bucket {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return open(t, "s3://name?region=eu-west-1&endpoint="+url.QueryEscape(server.URL))
}

func errorAnswer(status int, code string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Amz-Bucket-Region", "us-west-2")
		w.Header().Set("X-Amz-Request-Id", "REQUEST")
		w.WriteHeader(status)
		fmt.Fprintf(w, `<?xml version="1.0"?><Error><Code>%s</Code><Message>the message</Message></Error>`, code)
	}
}

// TestAnswers: each answer has its code and says what to do.
func TestAnswers(t *testing.T) {
	someCredentials(t)
	for _, test := range []struct {
		status int
		code   string
		want   bucket.Code
		hint   string
	}{
		{404, "NoSuchKey", bucket.CodeNotFound, ""},
		{404, "NoSuchBucket", bucket.CodeNotFound, "there is no bucket name"},
		{404, "page not found", bucket.CodeInvalid, "endpoint="},
		{403, "AccessDenied", bucket.CodeDenied, "s3:ListBucket"},
		{403, "InvalidAccessKeyId", bucket.CodeDenied, "AWS_ACCESS_KEY_ID"},
		{403, "SignatureDoesNotMatch", bucket.CodeDenied, "AWS_SECRET_ACCESS_KEY"},
		{400, "ExpiredToken", bucket.CodeDenied, "renew"},
		{403, "RequestTimeTooSkewed", bucket.CodeDenied, "clock"},
		{403, "SomethingNew", bucket.CodeDenied, "s3:GetObject"},
		{301, "PermanentRedirect", bucket.CodeInvalid, "s3://name?region=us-west-2"},
		{400, "AuthorizationHeaderMalformed", bucket.CodeInvalid, "us-west-2"},
		{503, "SlowDown", bucket.CodeUnavailable, "fewer requests"},
		{500, "InternalError", bucket.CodeUnavailable, ""},
		{409, "OperationAborted", bucket.CodeUnavailable, ""},
		{429, "TooManyRequests", bucket.CodeUnavailable, ""},
		{501, "NotImplemented", bucket.CodeUnsupported, "conditional writes"},
		{507, "InsufficientStorage", bucket.CodeFull, "room"},
		{403, "QuotaExceeded", bucket.CodeFull, "quota"},
		{400, "InvalidBucketName", bucket.CodeInvalid, "3 to 63"},
		{400, "BadDigest", bucket.CodeUnavailable, "damaged on the way"},
		{418, "Teapot", bucket.CodeInvalid, ""},
	} {
		t.Run(test.code, func(t *testing.T) {
			t.Parallel() // a store that is away is asked again, with pauses
			b := answering(t, errorAnswer(test.status, test.code))
			_, _, err := b.Get(t.Context(), "key", 0, -1)
			var e *bucket.Error
			if !errors.As(err, &e) || e.Code != test.want || !strings.Contains(e.Hint, test.hint) || (test.hint == "") != (e.Hint == "") {
				t.Fatalf("Get: %v, want code %s and a hint with %q", err, test.want, test.hint)
			}
			if !strings.Contains(err.Error(), test.code) || !strings.Contains(err.Error(), "REQUEST") {
				t.Errorf("the store's word and the request's id are missing in: %v", err)
			}
			for _, err := range b.List(t.Context(), "", "") {
				if bucket.CodeOf(err) != test.want {
					t.Errorf("List: %v", err)
				}
			}
		})
	}
}

func TestAnswersToConditionalPut(t *testing.T) {
	someCredentials(t)
	for _, test := range []struct {
		status int
		code   string
		cond   bucket.Condition
		want   bucket.Code
	}{
		{412, "PreconditionFailed", bucket.IfAbsent(), bucket.CodeConflict},
		{412, "PreconditionFailed", bucket.IfVersion("v"), bucket.CodeConflict},
		{409, "ConditionalRequestConflict", bucket.IfAbsent(), bucket.CodeConflict},
		{409, "ConditionalRequestConflict", bucket.IfVersion("v"), bucket.CodeConflict},
		{404, "NoSuchKey", bucket.IfVersion("v"), bucket.CodeConflict},
		{404, "NoSuchBucket", bucket.IfVersion("v"), bucket.CodeNotFound},
		{404, "NoSuchBucket", bucket.IfAbsent(), bucket.CodeNotFound},
		{501, "NotImplemented", bucket.IfAbsent(), bucket.CodeUnsupported},
		{500, "InternalError", bucket.IfAbsent(), bucket.CodeUnavailable},
	} {
		b := answering(t, errorAnswer(test.status, test.code))
		_, err := b.Put(t.Context(), "key", strings.NewReader("x"), test.cond)
		if bucket.CodeOf(err) != test.want {
			t.Errorf("%d %s to %+v: %v, want code %s", test.status, test.code, test.cond, err, test.want)
		}
	}
}

func TestNoCredentials(t *testing.T) {
	servertest.IsolateAWS(t)
	b := open(t, "s3://name?region=eu-west-1&endpoint=http://127.0.0.1:9")
	_, _, err := b.Get(t.Context(), "key", 0, -1)
	if !errors.Is(err, bucket.ErrDenied) || !strings.Contains(err.Error(), "AWS_PROFILE") {
		t.Errorf("without credentials: %v", err)
	}
}

func TestMistakesOfTheEnvironment(t *testing.T) {
	servertest.IsolateAWS(t)
	t.Setenv("AWS_CA_BUNDLE", filepath.Join(t.TempDir(), "nothing.pem"))
	if _, err := bucket.Open(t.Context(), "s3://name?region=eu-west-1"); !errors.Is(err, bucket.ErrInvalid) || !strings.Contains(err.Error(), "AWS_CA_BUNDLE") {
		t.Errorf("a bundle that is not there: %v", err)
	}
	servertest.IsolateAWS(t)
	t.Setenv("AWS_PROFILE", "nobody")
	if _, err := bucket.Open(t.Context(), "s3://name?region=eu-west-1"); !errors.Is(err, bucket.ErrInvalid) || !strings.Contains(err.Error(), "AWS_PROFILE") {
		t.Errorf("a profile that is not there: %v", err)
	}
}

// TestAddressIsWhole: what the environment says is in the bucket's own address,
// since another machine has another environment, and no secret is.
func TestAddressIsWhole(t *testing.T) {
	servertest.IsolateAWS(t)
	t.Setenv("AWS_ACCESS_KEY_ID", "AKIDSECRET")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "SECRET")
	t.Setenv("AWS_REGION", "eu-central-2")
	t.Setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:9000")
	b := open(t, "s3://name/some/prefix")
	address := b.Describe().URL
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	if q := u.Query(); u.Host != "name" || u.Path != "/some/prefix" || q.Get("region") != "eu-central-2" || q.Get("endpoint") != "http://127.0.0.1:9000" || strings.Contains(address, "SECRET") {
		t.Errorf("the address is %s", address)
	}
	servertest.IsolateAWS(t)
	if again := open(t, address).Describe().URL; again != address {
		t.Errorf("%s opened again is %s", address, again)
	}
}

// sent is what a store was sent.
type sent struct {
	header http.Header
	body   string
	proto  int
}

// TestPayload: over TLS the payload is unsigned and bears a checksum; without
// TLS it is signed. Nothing is framed in chunks, and nothing waits for a
// permission to send.
func TestPayload(t *testing.T) {
	got := make(chan sent, 1)
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		data, _ := io.ReadAll(r.Body)
		got <- sent{r.Header, string(data), r.ProtoMajor}
		w.Header().Set("ETag", `"etag"`)
	})
	plain := httptest.NewServer(handler)
	defer plain.Close()
	secure := httptest.NewUnstartedServer(handler)
	secure.EnableHTTP2 = true
	secure.StartTLS()
	defer secure.Close()
	someCredentials(t)
	bundle := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(bundle, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: secure.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("AWS_CA_BUNDLE", bundle)
	content := strings.Repeat("weights", 1<<20)
	sum := base64.StdEncoding.EncodeToString(binary.BigEndian.AppendUint32(nil, crc32.Checksum([]byte(content), crc32.MakeTable(crc32.Castagnoli))))
	for _, test := range []struct{ endpoint, payload string }{
		{secure.URL, "UNSIGNED-PAYLOAD"},
		{plain.URL, "64 characters"},
	} {
		b := open(t, "s3://name?endpoint="+url.QueryEscape(test.endpoint))
		body := strings.NewReader("skipped" + content)
		if _, err := body.Seek(int64(len("skipped")), io.SeekStart); err != nil {
			t.Fatal(err)
		}
		o, err := b.Put(t.Context(), "key", body, bucket.Condition{})
		if err != nil {
			t.Fatal(err)
		}
		if o.Size != int64(len(content)) || o.Version != "etag" {
			t.Errorf("Put says %+v", o)
		}
		r := <-got
		payload := r.header.Get("X-Amz-Content-Sha256")
		if payload != test.payload && (test.payload == "UNSIGNED-PAYLOAD" || len(payload) != 64) {
			t.Errorf("%s: the payload's hash is %s, want %s", test.endpoint, payload, test.payload)
		}
		if r.body != content || r.header.Get("X-Amz-Checksum-Crc32c") != sum || r.header.Get("Content-Encoding") != "" || r.header.Get("Expect") != "" || r.proto != 1 {
			t.Errorf("%s: sent %d bytes by HTTP/%d with %v", test.endpoint, len(r.body), r.proto, r.header)
		}
	}
}

func TestUntrustedServer(t *testing.T) {
	server := httptest.NewTLSServer(http.NotFoundHandler())
	defer server.Close()
	someCredentials(t)
	_, _, err := open(t, "s3://name?endpoint="+url.QueryEscape(server.URL)).Get(t.Context(), "key", 0, -1)
	if !errors.Is(err, bucket.ErrInvalid) || !strings.Contains(err.Error(), "AWS_CA_BUNDLE") {
		t.Errorf("a certificate by nobody: %v", err)
	}
}
