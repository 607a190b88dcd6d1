package gcsbucket

import (
	"errors"
	"net/url"
	"strings"
	"testing"

	"github.com/spotrelay/spotrelay/checkpointing/bucket"
)

func mustParse(t *testing.T, address string) (settings, error) {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	return parse(u)
}

func TestAddresses(t *testing.T) {
	for _, test := range []struct {
		emulator, address, endpoint string
		anonymous                   bool
	}{
		{"", "gs://name", "", false},
		{"", "gs://name?anonymous=true", "", true},
		{"", "gs://name?endpoint=http://127.0.0.1:4443", "http://127.0.0.1:4443", true},
		{"", "gs://name?endpoint=https://storage-psc.example.com/", "https://storage-psc.example.com", false},
		{"127.0.0.1:4443", "gs://name", "http://127.0.0.1:4443", true},
		{"http://127.0.0.1:4443", "gs://name", "http://127.0.0.1:4443", true},
		{"127.0.0.1:4443", "gs://name?endpoint=https://other", "https://other", false},
	} {
		t.Setenv(emulatorVariable, test.emulator)
		s, err := mustParse(t, test.address)
		if err != nil || s.name != "name" || s.endpoint != test.endpoint || s.anonymous != test.anonymous {
			t.Errorf("%s was read as %+v, %v", test.address, s, err)
		}
		t.Setenv(emulatorVariable, "")
		if again, err := mustParse(t, s.url()); err != nil || again != s {
			t.Errorf("%s gives %s, which is %+v, %v", test.address, s.url(), again, err)
		}
	}
}

func TestBadAddresses(t *testing.T) {
	t.Setenv(emulatorVariable, "")
	for address, want := range map[string]string{
		"gs://name?region=x":                      "region",
		"gs://name?anonymous=perhaps":             "anonymous=perhaps",
		"gs://name?endpoint=":                     "endpoint=",
		"gs://name?endpoint=127.0.0.1:1":          "endpoint=",
		"gs://name?endpoint=http://host/b/c":      "without a path",
		"gs://name?endpoint=https://u:p@host":     "endpoint=",
		"gs://name?endpoint=https://host?x=y%23z": "endpoint=",
	} {
		_, err := mustParse(t, address)
		if !errors.Is(err, bucket.ErrInvalid) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want it to name %q", address, err, want)
		}
	}
}

// FuzzAddress: what an address says is what its bucket's own address says.
func FuzzAddress(f *testing.F) {
	f.Setenv(emulatorVariable, "")
	f.Add("name", "anonymous=true")
	f.Add("my.bucket", "endpoint=http%3A%2F%2F127.0.0.1%3A4443")
	f.Fuzz(func(t *testing.T, name, query string) {
		u, err := url.Parse("gs://" + url.PathEscape(name) + "?" + query)
		if err != nil || u.Host == "" || u.Fragment != "" {
			return
		}
		s, err := parse(u)
		if err != nil {
			return
		}
		if again, err := mustParse(t, s.url()); err != nil || again != s {
			t.Fatalf("%s gives %s: %+v and %+v, %v", u, s.url(), s, again, err)
		}
	})
}
