// Package gcsbucket keeps a bucket in Google Cloud Storage. Importing it makes
// bucket.Open open gs:// addresses.
//
// It speaks the JSON API over HTTP/1.1. An object is written by one request
// with its CRC32C, which the store verifies.
package gcsbucket

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"cloud.google.com/go/storage"
	"google.golang.org/api/iterator"

	"github.com/spotrelay/spotrelay/checkpointing/bucket"
)

const (
	// pace is what GCS takes: one write a second of one object.
	pace = time.Second
	poll = time.Second
)

func init() { bucket.Register("gs", Open) }

// store is a bucket in GCS.
type store struct {
	settings  settings
	client    *storage.Client
	bucket    *storage.BucketHandle
	transport *http.Transport
	address   string
}

// Open opens the bucket that address names by its host. Its parameters are
// endpoint (of an emulator, or a private one; STORAGE_EMULATOR_HOST works too)
// and anonymous. Credentials are Google's default ones, and none are sent to
// an endpoint without TLS. It does no I/O beyond the finding of credentials.
// Errors: CodeInvalid for an address that cannot be read, CodeDenied without
// credentials. May be repeated.
func Open(ctx context.Context, address *url.URL) (bucket.Bucket, error) {
	s, err := parse(address)
	if err != nil {
		return nil, err
	}
	// The client outlives the call that opens it.
	client, tuned, err := newClient(context.WithoutCancel(ctx), s)
	if err != nil {
		return nil, (&store{settings: s}).fail("open", address.String(), err)
	}
	return &store{settings: s, client: client, bucket: client.Bucket(s.name), transport: tuned, address: s.url()}, nil
}

// Describe implements bucket.Bucket.
func (s *store) Describe() bucket.Description {
	return bucket.Description{URL: s.address, Pace: pace, Poll: poll}
}

// Close implements bucket.Bucket.
func (s *store) Close() error {
	err := s.client.Close()
	s.transport.CloseIdleConnections()
	return err
}

// Get implements bucket.Bucket. An offset at or past the end gives an empty
// body.
func (s *store) Get(ctx context.Context, key string, offset, length int64) (io.ReadCloser, bucket.Object, error) {
	if err := s.check(ctx, "get", key); err != nil {
		return nil, bucket.Object{}, err
	}
	if offset < 0 || length < -1 {
		return nil, bucket.Object{}, &bucket.Error{Code: bucket.CodeInvalid, Op: "get", Key: key, Err: fmt.Errorf("no such range: offset %d, length %d", offset, length)}
	}
	if length == 0 {
		return s.empty(ctx, key)
	}
	reader, err := s.bucket.Object(key).NewRangeReader(ctx, offset, length)
	if status(err) == http.StatusRequestedRangeNotSatisfiable {
		return s.empty(ctx, key)
	}
	if err != nil {
		return nil, bucket.Object{}, s.fail("get", key, err)
	}
	o := bucket.Object{Key: key, Size: reader.Attrs.Size, Version: version(reader.Attrs.Generation), Modified: reader.Attrs.LastModified}
	return &body{Reader: reader, s: s, key: key}, o, nil
}

// empty is no byte of an object that is there.
func (s *store) empty(ctx context.Context, key string) (io.ReadCloser, bucket.Object, error) {
	attrs, err := s.bucket.Object(key).Attrs(ctx)
	if err != nil {
		return nil, bucket.Object{}, s.fail("get", key, err)
	}
	return http.NoBody, object(attrs), nil
}

// body gives the errors of an answer that is cut short their code. The library
// has asked for the rest before it gives up.
type body struct {
	*storage.Reader
	s   *store
	key string
}

func (b *body) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		err = &bucket.Error{Code: bucket.CodeUnavailable, Op: "get", Key: b.key, Err: err}
	}
	return n, err
}

// WriteTo is hidden: its errors would have no code.
func (b *body) WriteTo(w io.Writer) (int64, error) { return io.Copy(w, struct{ io.Reader }{b}) }

// version is a generation.
func version(generation int64) string { return strconv.FormatInt(generation, 10) }

func object(attrs *storage.ObjectAttrs) bucket.Object {
	return bucket.Object{Key: attrs.Name, Size: attrs.Size, Version: version(attrs.Generation), Modified: attrs.Updated}
}

// List implements bucket.Bucket. Objects whose keys spotrelay could not have
// made, such as the folder markers of the console, are left out.
func (s *store) List(ctx context.Context, prefix, startAfter string) iter.Seq2[bucket.Object, error] {
	return func(yield func(bucket.Object, error) bool) {
		if err := bucket.CheckPrefix(prefix); err != nil {
			yield(bucket.Object{}, err)
			return
		}
		query := &storage.Query{Prefix: prefix, StartOffset: startAfter, Projection: storage.ProjectionNoACL}
		if err := query.SetAttrSelection([]string{"Name", "Size", "Generation", "Updated"}); err != nil {
			yield(bucket.Object{}, s.fail("list", prefix, err))
			return
		}
		found := s.bucket.Objects(ctx, query)
		for {
			attrs, err := found.Next()
			if errors.Is(err, iterator.Done) {
				return
			}
			if err != nil {
				yield(bucket.Object{}, s.fail("list", prefix, err))
				return
			}
			if attrs.Name == startAfter || bucket.CheckKey("list", attrs.Name) != nil { // StartOffset includes it
				continue
			}
			if !yield(object(attrs), nil) {
				return
			}
		}
	}
}

// Delete implements bucket.Bucket.
func (s *store) Delete(ctx context.Context, key string) error {
	if err := s.check(ctx, "delete", key); err != nil {
		return err
	}
	err := s.bucket.Object(key).Retryer(storage.WithPolicy(storage.RetryAlways)).Delete(ctx)
	if err == nil {
		return nil
	}
	if err = s.fail("delete", key, err); errors.Is(err, bucket.ErrNotFound) {
		return nil
	}
	return err
}

func (s *store) check(ctx context.Context, op, key string) error {
	if err := ctx.Err(); err != nil {
		return &bucket.Error{Code: bucket.CodeUnavailable, Op: op, Key: key, Err: err}
	}
	return bucket.CheckKey(op, key)
}
