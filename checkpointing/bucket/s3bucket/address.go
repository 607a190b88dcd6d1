package s3bucket

import (
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"

	"github.com/spotrelay/spotrelay/checkpointing/bucket"
)

// settings is what an address says.
type settings struct {
	name      string
	region    string
	endpoint  string
	pathStyle *bool // nil: as the endpoint suggests
}

// parse reads s3://name?region=R&endpoint=URL&path_style=true.
func parse(u *url.URL) (settings, error) {
	fail := func(err error) (settings, error) {
		return settings{}, &bucket.Error{
			Code: bucket.CodeInvalid, Op: "open", Key: u.String(), Err: err,
			Hint: "an S3 address is s3://name/prefix?region=R&endpoint=URL&path_style=true; the parameters may be left out",
		}
	}
	s := settings{name: u.Host}
	if strings.HasSuffix(s.name, "--x-s3") {
		return settings{}, &bucket.Error{
			Code: bucket.CodeUnsupported, Op: "open", Key: u.String(),
			Err:  errors.New("a directory bucket (S3 Express) lists its objects in no order, and spotrelay needs them in that of their keys"),
			Hint: "use a general purpose bucket",
		}
	}
	for name, values := range u.Query() {
		value := values[len(values)-1]
		switch name {
		case "region":
			s.region = value
		case "endpoint":
			if err := checkEndpoint(value); err != nil {
				return fail(err)
			}
			s.endpoint = strings.TrimSuffix(value, "/")
		case "path_style":
			on, err := strconv.ParseBool(value)
			if err != nil {
				return fail(fmt.Errorf("path_style=%s: it is true or false", value))
			}
			s.pathStyle = &on
		default:
			return fail(fmt.Errorf("unknown parameter %q; there are region, endpoint and path_style", name))
		}
	}
	return s, nil
}

func checkEndpoint(value string) error {
	endpoint, err := url.Parse(value)
	if err != nil {
		return fmt.Errorf("endpoint=%s: %w", value, err)
	}
	if (endpoint.Scheme != "http" && endpoint.Scheme != "https") || endpoint.Host == "" || endpoint.User != nil || endpoint.RawQuery != "" || endpoint.Fragment != "" {
		return fmt.Errorf("endpoint=%s: it is a URL such as https://s3.example.com or http://127.0.0.1:9000", value)
	}
	return nil
}

// usesPathStyle says whether the bucket's name goes into the path: a store of
// one's own seldom has a DNS name for each bucket.
func (s settings) usesPathStyle() bool {
	if s.pathStyle != nil {
		return *s.pathStyle
	}
	return s.endpoint != ""
}

// url is the address that opens the bucket again.
func (s settings) url() string {
	query := url.Values{}
	if s.region != "" {
		query.Set("region", s.region)
	}
	if s.endpoint != "" {
		query.Set("endpoint", s.endpoint)
	}
	if s.pathStyle != nil {
		query.Set("path_style", strconv.FormatBool(*s.pathStyle))
	}
	u := url.URL{Scheme: "s3", Host: s.name, RawQuery: query.Encode()}
	return u.String()
}
