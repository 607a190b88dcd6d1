package bucket

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"runtime"
	"strings"
)

// Open opens the bucket at address: a file:// URL with an absolute path, the
// plain path of a folder, or the URL of a store whose driver is registered
// (see Register). A folder is made when it is missing.
//
// A file URL takes two parameters: prefix=a/b opens that prefix of the folder
// (see Sub), and sync=off leaves the flushing to the operating system, which
// is faster and is right for a folder that need not outlive a power cut. Other
// stores have their prefix in the URL's path and say themselves what
// parameters they take.
//
// Errors: CodeInvalid for an address that cannot be read, CodeUnsupported for a
// store that this program has no driver for, CodeDenied for a folder that
// cannot be written, and those of the driver. May be repeated.
func Open(ctx context.Context, address string) (Bucket, error) {
	if err := ctx.Err(); err != nil {
		return nil, &Error{Code: CodeUnavailable, Op: "open", Key: address, Err: err}
	}
	scheme, _, isURL := strings.Cut(address, "://")
	opener := driver(scheme)
	switch {
	case address == "":
		return nil, invalidAddress(address, errors.New("the address is empty"))
	case !isURL:
		return openPath(address, folderOptions{})
	case scheme == "file":
		return openFileURL(address)
	case opener != nil:
		return openRegistered(ctx, address, opener)
	case scheme == "s3" || scheme == "gs":
		return nil, &Error{
			Code: CodeUnsupported, Op: "open", Key: address,
			Err:  fmt.Errorf("this program was built without a driver for %s:// buckets", scheme),
			Hint: "import checkpointing/bucket/s3bucket or gcsbucket in its main package",
		}
	default:
		return nil, invalidAddress(address, fmt.Errorf("unknown scheme %q", scheme))
	}
}

func invalidAddress(address string, err error) error {
	return &Error{
		Code: CodeInvalid, Op: "open", Key: address, Err: err,
		Hint: "a bucket's address is s3://name/prefix, gs://name/prefix, file:///absolute/path or the path of a folder",
	}
}

func openFileURL(address string) (Bucket, error) {
	u, err := url.Parse(address)
	if err != nil {
		return nil, invalidAddress(address, err)
	}
	if u.Host != "" && u.Host != "localhost" {
		return nil, invalidAddress(address, fmt.Errorf("a file URL has three slashes and an absolute path; %q was read as a host", u.Host))
	}
	if u.Path == "" || u.Fragment != "" || u.User != nil {
		return nil, invalidAddress(address, errors.New("a file URL has an absolute path and nothing after it but parameters"))
	}
	options, prefix, err := folderParameters(u.Query())
	if err != nil {
		return nil, invalidAddress(address, err)
	}
	path := u.Path
	if runtime.GOOS == "windows" {
		path = strings.TrimPrefix(path, "/") // file:///C:/folder
	}
	b, err := openPath(filepath.FromSlash(path), options)
	if err != nil || prefix == "" {
		return b, err
	}
	return &ownedSub{Bucket: Sub(b, prefix), parent: b}, nil
}

func folderParameters(query url.Values) (options folderOptions, prefix string, err error) {
	for name, values := range query {
		value := values[len(values)-1]
		switch name {
		case "prefix":
			prefix = strings.Trim(value, "/")
			if fault := keyFault(prefix); fault != "" {
				return options, "", fmt.Errorf("prefix=%s: %s", value, fault)
			}
		case "sync":
			switch value {
			case "on":
			case "off":
				options.noSync = true
			default:
				return options, "", fmt.Errorf("sync=%s: it is on or off", value)
			}
		default:
			return options, "", fmt.Errorf("unknown parameter %q; there are prefix and sync", name)
		}
	}
	return options, prefix, nil
}

func openPath(path string, options folderOptions) (Bucket, error) {
	absolute, err := filepath.Abs(path)
	if err != nil {
		return nil, invalidAddress(path, err)
	}
	return openFolder(absolute, options)
}

// folderURL is the address that opens the folder at path again.
func folderURL(path string, options folderOptions) string {
	slashed := filepath.ToSlash(path)
	if !strings.HasPrefix(slashed, "/") {
		slashed = "/" + slashed
	}
	u := url.URL{Scheme: "file", Path: slashed}
	if options.noSync {
		u.RawQuery = "sync=off"
	}
	return u.String()
}
