package s3bucket

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
		address, region, endpoint string
		pathStyle                 bool
	}{
		{"s3://name", "", "", false},
		{"s3://name?region=eu-west-1", "eu-west-1", "", false},
		{"s3://name?endpoint=http://127.0.0.1:9000", "", "http://127.0.0.1:9000", true},
		{"s3://name?endpoint=https://s3.example.com/&path_style=false", "", "https://s3.example.com", false},
		{"s3://name?path_style=true", "", "", true},
	} {
		s, err := mustParse(t, test.address)
		if err != nil {
			t.Errorf("%s: %v", test.address, err)
			continue
		}
		if s.name != "name" || s.region != test.region || s.endpoint != test.endpoint || s.usesPathStyle() != test.pathStyle {
			t.Errorf("%s was read as %+v", test.address, s)
		}
	}
}

func TestBadAddresses(t *testing.T) {
	for address, want := range map[string]string{
		"s3://name?regoin=x":                   "regoin",
		"s3://name?path_style=yes":             "path_style=yes",
		"s3://name?endpoint=127.0.0.1:9000":    "endpoint=127.0.0.1:9000",
		"s3://name?endpoint=ftp://host":        "endpoint=ftp://host",
		"s3://name?endpoint=https://u:p@host":  "endpoint=",
		"s3://name?endpoint=https://host/?a=b": "endpoint=",
		"s3://name?endpoint=":                  "endpoint=",
		"s3://name--use1-az4--x-s3?region=x":   "directory bucket",
	} {
		_, err := mustParse(t, address)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want it to name %q", address, err, want)
		}
		if !errors.Is(err, bucket.ErrInvalid) && !errors.Is(err, bucket.ErrUnsupported) {
			t.Errorf("%s: code %s", address, bucket.CodeOf(err))
		}
	}
}

// FuzzAddress: what an address says is what its bucket's own address says.
func FuzzAddress(f *testing.F) {
	f.Add("name", "region=eu-west-1&path_style=true")
	f.Add("my.bucket", "endpoint=http%3A%2F%2F127.0.0.1%3A9000")
	f.Fuzz(func(t *testing.T, name, query string) {
		u, err := url.Parse("s3://" + url.PathEscape(name) + "?" + query)
		if err != nil || u.Host == "" || u.Fragment != "" {
			return
		}
		s, err := parse(u)
		if err != nil {
			return
		}
		again, err := mustParse(t, s.url())
		if err != nil {
			t.Fatalf("%s gives %s: %v", u, s.url(), err)
		}
		if again.name != s.name || again.region != s.region || again.endpoint != s.endpoint || again.usesPathStyle() != s.usesPathStyle() {
			t.Fatalf("%s gives %s: %+v and %+v", u, s.url(), s, again)
		}
	})
}
