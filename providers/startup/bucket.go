package startup

import (
	"errors"
	"fmt"
	"net/url"
	"path"
	"strconv"
	"strings"
)

const (
	storeFile = "file"
	storeS3   = "s3"
	storeGCS  = "gs"
)

// address is where the agent programs lie: a bucket's URL, read as package
// checkpointing/bucket and its drivers read it.
type address struct {
	url    string
	store  string
	prefix string // of every key, without slashes at its ends
	folder string // of a file bucket

	name      string // of an S3 or GCS bucket
	region    string // S3; "": the instance's
	scheme    string // http or https
	host      string // with its port; for AWS itself, what stands before s3.<region>
	aws       bool   // the host is completed by the region
	inPath    bool   // the bucket's name stands in the path
	anonymous bool   // GCS
}

func parseBucket(text string) (address, error) {
	fail := func(err error) (address, error) {
		return address{}, fmt.Errorf("the bucket's address %q cannot be read: %w", text, err)
	}
	scheme, _, isURL := strings.Cut(text, "://")
	if !isURL {
		if !path.IsAbs(text) {
			return fail(errors.New("a folder on an instance is named by its absolute path"))
		}
		return address{url: text, store: storeFile, folder: text}, nil
	}
	u, err := url.Parse(text)
	if err != nil {
		return fail(err)
	}
	a := address{url: text, store: scheme, name: u.Host, prefix: strings.Trim(u.Path, "/")}
	switch scheme {
	case storeFile:
		a.name, a.folder, a.prefix = "", u.Path, strings.Trim(u.Query().Get("prefix"), "/")
		if a.folder == "" || u.Host != "" && u.Host != "localhost" {
			return fail(errors.New("a file URL has three slashes and an absolute path"))
		}
	case storeS3:
		err = a.readS3(u.Query())
	case storeGCS:
		err = a.readGCS(u.Query())
	default:
		err = errors.New("a script can read s3://, gs:// and file:// buckets")
	}
	if err == nil && a.store != storeFile && u.Host == "" {
		err = errors.New("it names no bucket")
	}
	if err != nil {
		return fail(err)
	}
	return a, nil
}

// readS3 follows s3bucket: a store of one's own has the name in the path unless
// told otherwise, and so has a name with dots, which no certificate covers.
func (a *address) readS3(query url.Values) error {
	a.region = query.Get("region")
	endpoint := query.Get("endpoint")
	a.inPath = endpoint != "" || strings.Contains(a.name, ".")
	if style := query.Get("path_style"); style != "" {
		on, err := strconv.ParseBool(style)
		if err != nil {
			return fmt.Errorf("path_style=%s: it is true or false", style)
		}
		a.inPath = on
	}
	if endpoint == "" {
		a.scheme, a.aws = "https", true
	} else {
		if err := a.readEndpoint(endpoint); err != nil {
			return err
		}
		if a.region == "" {
			a.region = "us-east-1" // what s3bucket signs for then
		}
	}
	if !a.inPath {
		a.host = a.name + "." + a.host
	}
	return nil
}

func (a *address) readGCS(query url.Values) error {
	a.scheme, a.host = "https", "storage.googleapis.com"
	if on := query.Get("anonymous"); on != "" {
		var err error
		if a.anonymous, err = strconv.ParseBool(on); err != nil {
			return fmt.Errorf("anonymous=%s: it is true or false", on)
		}
	}
	if endpoint := query.Get("endpoint"); endpoint != "" {
		if err := a.readEndpoint(endpoint); err != nil {
			return err
		}
		a.anonymous = a.anonymous || a.scheme == "http" // a token is never sent in the clear
	}
	return nil
}

func (a *address) readEndpoint(endpoint string) error {
	u, err := url.Parse(endpoint)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || strings.Trim(u.Path, "/") != "" || u.User != nil || u.RawQuery != "" {
		return fmt.Errorf("endpoint=%s: it is a URL such as https://s3.example.com", endpoint)
	}
	a.scheme, a.host = u.Scheme, u.Host
	// Clients leave the usual port out of the header that is signed.
	if port := u.Port(); port == "443" && u.Scheme == "https" || port == "80" && u.Scheme == "http" {
		a.host = strings.TrimSuffix(u.Host, ":"+port)
	}
	return nil
}

// pathOf is where the object lies: a path on the disk, or the path of a
// request, percent-encoded as the signature wants it.
func (a address) pathOf(key string) (string, error) {
	if key == "" || strings.ContainsAny(key, "\x00\n") {
		return "", fmt.Errorf("%q is no key of an object", key)
	}
	if a.prefix != "" {
		key = a.prefix + "/" + key
	}
	switch a.store {
	case storeFile:
		return path.Join(a.folder, key), nil
	case storeGCS:
		return "/storage/v1/b/" + escape(a.name, "") + "/o/" + escape(key, "") + "?alt=media", nil
	}
	if a.inPath {
		key = a.name + "/" + key
	}
	return "/" + escape(key, "/"), nil
}

// escape percent-encodes all but RFC 3986's unreserved characters and those of
// keep, as AWS's signature version 4 does (UriEncode).
func escape(text, keep string) string {
	var s strings.Builder
	for i := range len(text) {
		c := text[i]
		if 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("-._~"+keep, c) >= 0 {
			s.WriteByte(c)
		} else {
			fmt.Fprintf(&s, "%%%02X", c)
		}
	}
	return s.String()
}

type assignment struct{ name, value string }

// data are the variables by which the script knows the address.
func (a address) data() []assignment {
	flag := func(on bool) string {
		if on {
			return "1"
		}
		return ""
	}
	data := []assignment{{"bucket_address", a.url}, {"bucket_store", a.store}}
	if a.store == storeFile {
		return data
	}
	data = append(data, assignment{"bucket_scheme", a.scheme}, assignment{"bucket_host", a.host})
	if a.store == storeGCS {
		return append(data, assignment{"bucket_anonymous", flag(a.anonymous)})
	}
	return append(data, assignment{"bucket_region", a.region}, assignment{"bucket_aws", flag(a.aws)})
}
