package gcsbucket

import (
	"fmt"
	"net/url"
	"os"
	"strconv"
	"strings"

	"github.com/spotrelay/spotrelay/checkpointing/bucket"
)

// emulatorVariable is where Google's own libraries look for an emulator.
const emulatorVariable = "STORAGE_EMULATOR_HOST"

// settings is what an address says.
type settings struct {
	name      string
	endpoint  string // without a slash at its end; "" is Google's
	anonymous bool
}

// parse reads gs://name?endpoint=URL&anonymous=true. An emulator that the
// environment names is taken into the address, since another machine or
// process may have another environment.
func parse(u *url.URL) (settings, error) {
	fail := func(err error) (settings, error) {
		return settings{}, &bucket.Error{
			Code: bucket.CodeInvalid, Op: "open", Key: u.String(), Err: err,
			Hint: "a GCS address is gs://name/prefix?endpoint=URL&anonymous=true; the parameters may be left out",
		}
	}
	s := settings{name: u.Host}
	endpoint := emulator()
	for name, values := range u.Query() {
		value := values[len(values)-1]
		switch name {
		case "endpoint":
			endpoint = value
			if value == "" {
				return fail(fmt.Errorf("endpoint= is empty"))
			}
		case "anonymous":
			on, err := strconv.ParseBool(value)
			if err != nil {
				return fail(fmt.Errorf("anonymous=%s: it is true or false", value))
			}
			s.anonymous = on
		default:
			return fail(fmt.Errorf("unknown parameter %q; there are endpoint and anonymous", name))
		}
	}
	if endpoint == "" {
		return s, nil
	}
	e, err := url.Parse(endpoint)
	if err != nil {
		return fail(fmt.Errorf("endpoint=%s: %w", endpoint, err))
	}
	if (e.Scheme != "http" && e.Scheme != "https") || e.Host == "" || strings.Trim(e.Path, "/") != "" || e.User != nil || e.RawQuery != "" || e.Fragment != "" {
		return fail(fmt.Errorf("endpoint=%s: it is a URL without a path such as http://127.0.0.1:4443", endpoint))
	}
	s.endpoint = e.Scheme + "://" + e.Host
	if e.Scheme == "http" {
		s.anonymous = true // a token is never sent in the clear
	}
	return s, nil
}

// emulator is the URL of the one in the environment, or "".
func emulator() string {
	host := os.Getenv(emulatorVariable)
	if host == "" || strings.Contains(host, "://") {
		return host
	}
	return "http://" + host
}

// url is the address that opens the bucket again.
func (s settings) url() string {
	query := url.Values{}
	if s.endpoint != "" {
		query.Set("endpoint", s.endpoint)
	}
	if s.anonymous && !strings.HasPrefix(s.endpoint, "http://") {
		query.Set("anonymous", "true")
	}
	u := url.URL{Scheme: "gs", Host: s.name, RawQuery: query.Encode()}
	return u.String()
}
