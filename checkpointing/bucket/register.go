package bucket

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"sync"
)

// Opener opens the bucket that a URL's host names. The URL has no path, which
// is Open's business, but the parameters, of which an unknown one is
// CodeInvalid.
type Opener func(ctx context.Context, address *url.URL) (Bucket, error)

var drivers = struct {
	sync.RWMutex
	opener map[string]Opener
}{opener: map[string]Opener{}}

// Register makes Open use opener for the URLs of scheme. A driver calls it when
// it is imported, so that only programs which import it carry a cloud's SDK. It
// panics when the scheme is taken, which is a mistake of the program.
func Register(scheme string, opener Opener) {
	drivers.Lock()
	defer drivers.Unlock()
	if _, taken := drivers.opener[scheme]; taken || scheme == "file" || scheme == "" {
		panic("bucket.Register: the scheme is taken: " + scheme)
	}
	drivers.opener[scheme] = opener
}

// driver is the opener of scheme, nil when there is none.
func driver(scheme string) Opener {
	drivers.RLock()
	defer drivers.RUnlock()
	return drivers.opener[scheme]
}

// openRegistered opens an address of the form scheme://name/prefix?parameters.
func openRegistered(ctx context.Context, address string, opener Opener) (Bucket, error) {
	u, err := url.Parse(address)
	if err != nil {
		return nil, invalidAddress(address, err)
	}
	switch {
	case u.Host == "":
		return nil, invalidAddress(address, errors.New("it names no bucket"))
	case u.User != nil:
		u.User = nil // it may be a secret, and errors end up in logs
		return nil, invalidAddress(u.String(), errors.New("credentials do not belong in an address; they are found by the cloud's own default chain"))
	case u.Fragment != "":
		return nil, invalidAddress(address, fmt.Errorf("nothing may follow its parameters: #%s", u.Fragment))
	}
	prefix := strings.Trim(u.Path, "/")
	if prefix != "" {
		if fault := keyFault(prefix); fault != "" {
			return nil, invalidAddress(address, fmt.Errorf("the prefix %s cannot be: %s", prefix, fault))
		}
	}
	u.Path, u.RawPath = "", ""
	b, err := opener(ctx, u)
	if err != nil || prefix == "" {
		return b, err
	}
	return &ownedSub{Bucket: Sub(b, prefix), parent: b}, nil
}

// CheckPrefix says whether prefix may be listed: it is empty, or begins like a
// well-formed key. It is for drivers; the error is that of CheckKey.
func CheckPrefix(prefix string) error { return checkPrefix(prefix) }
