//go:build linux

package relaytest

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spotrelay/spotrelay/providers"
	"github.com/spotrelay/spotrelay/providers/gcp"
	"github.com/spotrelay/spotrelay/providers/gcp/computetest"
)

// An endpoint that is not plainly on this machine is sent a token: that of the
// environment's credentials.
func TestCredentials(t *testing.T) {
	exchanges := 0
	tokens := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		exchanges++
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(`{"access_token": "of-the-test", "token_type": "Bearer", "expires_in": 3600}`))
	}))
	t.Cleanup(tokens.Close)
	s := computetest.Start(t, computetest.Options{}) // it wants a token
	config, err := json.Marshal(map[string]any{
		"project": project, "region": "us-central1",
		// 0.0.0.0 reaches this machine, and is no loopback address.
		"endpoint":         strings.Replace(s.URL, "127.0.0.1", "0.0.0.0", 1),
		"billing_endpoint": strings.Replace(s.URL, "127.0.0.1", "0.0.0.0", 1),
	})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "credentials.json")
	credentials, err := json.Marshal(map[string]string{
		"type": "authorized_user", "client_id": "c", "client_secret": "s", "refresh_token": "r", "token_uri": tokens.URL,
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, credentials, 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("GOOGLE_APPLICATION_CREDENTIALS", file)
	provider := gcp.New(gcp.Options{CacheDir: t.TempDir()})
	offers, err := provider.Offers(t.Context(), providers.Fleet{Name: "gcp", Config: config}, providers.Need{})
	if err != nil || len(offers) == 0 {
		t.Fatalf("%d offers, %v", len(offers), err)
	}
	if exchanges == 0 {
		t.Error("no token was asked for")
	}
}
