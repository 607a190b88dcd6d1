package bucket

import (
	"context"
	"errors"
	"io"
	"iter"
	"net/url"
	"strings"
)

// Sub is the part of b below prefix, as a bucket of its own: its key k is b's
// key prefix/k, and it can reach nothing else. Closing it does nothing, since b
// remains its caller's. A Sub of a Sub is one Sub. It panics on an ill-formed
// prefix, which is a mistake of the program.
func Sub(b Bucket, prefix string) Bucket {
	prefix = strings.TrimSuffix(prefix, "/")
	if fault := keyFault(prefix); fault != "" {
		panic("bucket.Sub(" + prefix + "): " + fault)
	}
	if s, ok := b.(*sub); ok {
		return &sub{parent: s.parent, prefix: s.prefix + prefix + "/"}
	}
	return &sub{parent: b, prefix: prefix + "/"}
}

type sub struct {
	parent Bucket
	prefix string // with its slash
}

func (s *sub) Get(ctx context.Context, key string, offset, length int64) (io.ReadCloser, Object, error) {
	if err := CheckKey("get", key); err != nil {
		return nil, Object{}, err
	}
	body, o, err := s.parent.Get(ctx, s.prefix+key, offset, length)
	return body, s.inner(o), s.innerError(err)
}

func (s *sub) Put(ctx context.Context, key string, body io.ReadSeeker, cond Condition) (Object, error) {
	if err := CheckKey("put", key); err != nil {
		return Object{}, err
	}
	o, err := s.parent.Put(ctx, s.prefix+key, body, cond)
	return s.inner(o), s.innerError(err)
}

func (s *sub) List(ctx context.Context, prefix, startAfter string) iter.Seq2[Object, error] {
	return func(yield func(Object, error) bool) {
		if err := checkPrefix(prefix); err != nil {
			yield(Object{}, err)
			return
		}
		outer := ""
		if startAfter != "" {
			outer = s.prefix + startAfter
		}
		for o, err := range s.parent.List(ctx, s.prefix+prefix, outer) {
			if !yield(s.inner(o), s.innerError(err)) || err != nil {
				return
			}
		}
	}
}

func (s *sub) Delete(ctx context.Context, key string) error {
	if err := CheckKey("delete", key); err != nil {
		return err
	}
	return s.innerError(s.parent.Delete(ctx, s.prefix+key))
}

func (s *sub) Describe() Description {
	d := s.parent.Describe()
	d.URL = withPrefix(d.URL, strings.TrimSuffix(s.prefix, "/"))
	return d
}

func (s *sub) Close() error { return nil }

func (s *sub) inner(o Object) Object {
	o.Key = strings.TrimPrefix(o.Key, s.prefix)
	return o
}

// innerError names the key as the caller knows it.
func (s *sub) innerError(err error) error {
	if err == nil {
		return nil
	}
	var e *Error
	if !errors.As(err, &e) {
		return err
	}
	inner := *e
	inner.Key = strings.TrimPrefix(e.Key, s.prefix)
	return &inner
}

// withPrefix adds prefix to address: file URLs carry it as a parameter, since
// a folder's locks lie at its root; others have it in their path.
func withPrefix(address, prefix string) string {
	u, err := url.Parse(address)
	if err != nil {
		return address
	}
	if u.Scheme != "file" {
		u.Path, u.RawPath = strings.TrimSuffix(u.Path, "/")+"/"+prefix, ""
		return u.String()
	}
	query := u.Query()
	if before := query.Get("prefix"); before != "" {
		prefix = before + "/" + prefix
	}
	query.Set("prefix", prefix)
	u.RawQuery = query.Encode()
	return u.String()
}

// ownedSub is a Sub that was opened by its address and so closes its parent.
type ownedSub struct {
	Bucket
	parent Bucket
}

func (s *ownedSub) Close() error { return s.parent.Close() }
