package gcsbucket

import (
	"context"
	"errors"
	"hash/crc32"
	"io"
	"net"
	"net/http"
	"strconv"

	"cloud.google.com/go/storage"
	"github.com/cenkalti/backoff/v5"

	"github.com/spotrelay/spotrelay/checkpointing/bucket"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Put implements bucket.Bucket. It reads body twice, first for the checksum.
func (s *store) Put(ctx context.Context, key string, body io.ReadSeeker, cond bucket.Condition) (bucket.Object, error) {
	if err := s.check(ctx, "put", key); err != nil {
		return bucket.Object{}, err
	}
	handle, err := s.under(key, cond)
	if err != nil {
		return bucket.Object{}, err
	}
	start, err := body.Seek(0, io.SeekCurrent)
	crc := crc32.New(castagnoli)
	if err == nil {
		_, err = io.Copy(crc, body)
	}
	if err != nil {
		return bucket.Object{}, &bucket.Error{Code: bucket.CodeUnavailable, Op: "put", Key: key, Err: err}
	}
	pause := backoff.NewExponentialBackOff()
	pause.InitialInterval, pause.MaxInterval = firstPause, maxPause
	o, err := backoff.Retry(ctx, func() (bucket.Object, error) {
		if _, err := body.Seek(start, io.SeekStart); err != nil {
			return bucket.Object{}, backoff.Permanent(err)
		}
		attrs, err := send(ctx, handle, body, crc.Sum32())
		switch {
		case err == nil:
			return object(attrs), nil
		case !s.repeatable(err, cond):
			return bucket.Object{}, backoff.Permanent(err)
		}
		return bucket.Object{}, err
	}, backoff.WithBackOff(pause), backoff.WithMaxTries(tries))
	if err != nil {
		return bucket.Object{}, s.fail("put", key, err)
	}
	return o, nil
}

// under is the object under a condition. The library repeats nothing: after a
// lost answer a conditional write would be refused because of the first, and
// look like a lost race.
func (s *store) under(key string, cond bucket.Condition) (*storage.ObjectHandle, error) {
	handle := s.bucket.Object(key).Retryer(storage.WithPolicy(storage.RetryNever))
	switch {
	case cond.Absent && cond.Version != "":
		return nil, &bucket.Error{Code: bucket.CodeInvalid, Op: "put", Key: key, Err: errors.New("a put has one condition: that there is no object, or its version")}
	case cond.Absent:
		return handle.If(storage.Conditions{DoesNotExist: true}), nil
	case cond.Version != "":
		generation, err := strconv.ParseInt(cond.Version, 10, 64)
		if err != nil || generation <= 0 { // no object has ever had it
			return nil, &bucket.Error{Code: bucket.CodeConflict, Op: "put", Key: key, Err: errors.New("no object of this store has the version " + cond.Version)}
		}
		return handle.If(storage.Conditions{GenerationMatch: generation}), nil
	}
	return handle, nil
}

// send writes the object by one request. When body fails, the request is
// broken off, so that the store does not take a part for the whole.
func send(ctx context.Context, handle *storage.ObjectHandle, body io.Reader, sum uint32) (*storage.ObjectAttrs, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	w := handle.NewWriter(ctx)
	w.ChunkSize = 0
	w.ContentType = "application/octet-stream"
	w.CRC32C, w.SendCRC32C = sum, true
	if _, err := io.Copy(w, body); err != nil {
		cancel()
		_ = w.Close() // it says that the context has ended
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return w.Attrs(), nil
}

// repeatable says whether a put may be sent again: a conditional one only when
// the one before has certainly not taken place.
func (s *store) repeatable(err error, cond bucket.Condition) bool {
	if !errors.Is(s.fail("put", "", err), bucket.ErrUnavailable) {
		return false
	}
	var opError *net.OpError
	return cond == (bucket.Condition{}) ||
		status(err) == http.StatusTooManyRequests ||
		errors.As(err, &opError) && opError.Op == "dial"
}
