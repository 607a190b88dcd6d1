package gcsbucket_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spotrelay/spotrelay/checkpointing/bucket"
)

// answering is a bucket whose store gives every request the same answer.
func answering(t *testing.T, status int, reason string) bucket.Bucket {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		fmt.Fprintf(w, `{"error":{"code":%d,"message":"the message","errors":[{"reason":%q,"message":"the message"}]}}`, status, reason)
	}))
	t.Cleanup(server.Close)
	return open(t, "gs://name?endpoint="+url.QueryEscape(server.URL))
}

// TestAnswers: each answer has its code and says what to do.
func TestAnswers(t *testing.T) {
	for _, test := range []struct {
		status   int
		reason   string
		get, put bucket.Code
		hint     string // of the put
	}{
		{404, "notFound", bucket.CodeNotFound, bucket.CodeNotFound, "there is no bucket name"},
		{412, "conditionNotMet", bucket.CodeConflict, bucket.CodeConflict, ""},
		{401, "authError", bucket.CodeDenied, bucket.CodeDenied, "gcloud auth"},
		{403, "forbidden", bucket.CodeDenied, bucket.CodeDenied, "roles/storage.objectUser"},
		{403, "rateLimitExceeded", bucket.CodeUnavailable, bucket.CodeUnavailable, "one write a second"},
		{403, "quotaExceeded", bucket.CodeFull, bucket.CodeFull, "quota"},
		{429, "rateLimitExceeded", bucket.CodeUnavailable, bucket.CodeUnavailable, "one write a second"},
		{503, "backendError", bucket.CodeUnavailable, bucket.CodeUnavailable, ""},
		{400, "invalid", bucket.CodeInvalid, bucket.CodeInvalid, ""},
		{501, "notImplemented", bucket.CodeUnsupported, bucket.CodeUnsupported, "preconditions"},
	} {
		t.Run(fmt.Sprint(test.status, test.reason), func(t *testing.T) {
			t.Parallel() // a store that is away is asked again, with pauses
			b := answering(t, test.status, test.reason)
			if _, _, err := b.Get(t.Context(), "key", 0, -1); bucket.CodeOf(err) != test.get {
				t.Errorf("Get: %v, want code %s", err, test.get)
			}
			_, err := b.Put(t.Context(), "key", strings.NewReader("x"), bucket.IfAbsent())
			var e *bucket.Error
			if !errors.As(err, &e) || e.Code != test.put || !strings.Contains(e.Hint, test.hint) || (test.hint == "") != (e.Hint == "") {
				t.Errorf("Put: %v, want code %s and a hint with %q", err, test.put, test.hint)
			}
			if !strings.Contains(err.Error(), fmt.Sprint(test.status)) || !strings.Contains(err.Error(), test.reason) {
				t.Errorf("the store's word is missing in: %v", err)
			}
			for _, err := range b.List(t.Context(), "", "") {
				if bucket.CodeOf(err) != test.get {
					t.Errorf("List: %v", err)
				}
			}
		})
	}
}

func TestBadCredentials(t *testing.T) {
	file := filepath.Join(t.TempDir(), "key.json")
	t.Setenv("GOOGLE_APPLICATION_CREDENTIALS", file)
	t.Setenv("STORAGE_EMULATOR_HOST", "")
	if _, err := bucket.Open(t.Context(), "gs://name"); !errors.Is(err, bucket.ErrDenied) || !strings.Contains(err.Error(), "gcloud auth application-default login") {
		t.Errorf("a file that is not there: %v", err)
	}
	// A token that its issuer refuses.
	issuer := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusBadRequest)
		fmt.Fprint(w, `{"error":"invalid_grant","error_description":"Token has been expired or revoked."}`)
	}))
	defer issuer.Close()
	user := fmt.Sprintf(`{"type":"authorized_user","client_id":"id","client_secret":"s","refresh_token":"r","token_uri":%q}`, issuer.URL)
	if err := os.WriteFile(file, []byte(user), 0o600); err != nil {
		t.Fatal(err)
	}
	b, err := bucket.Open(t.Context(), "gs://name?endpoint=https://127.0.0.1:9")
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	_, _, err = b.Get(t.Context(), "key", 0, -1)
	if !errors.Is(err, bucket.ErrDenied) || !strings.Contains(err.Error(), "the credentials were refused") {
		t.Errorf("a revoked token: %v", err)
	}
}

func TestUntrustedServer(t *testing.T) {
	server := httptest.NewTLSServer(http.NotFoundHandler())
	defer server.Close()
	_, _, err := open(t, "gs://name?anonymous=true&endpoint="+url.QueryEscape(server.URL)).Get(t.Context(), "key", 0, -1)
	if !errors.Is(err, bucket.ErrInvalid) || !strings.Contains(err.Error(), "SSL_CERT_FILE") {
		t.Errorf("a certificate by nobody: %v", err)
	}
}
