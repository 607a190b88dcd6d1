// Package s3bucket keeps a bucket in Amazon S3, or in a store that speaks its
// protocol and honours conditional writes. Importing it makes bucket.Open open
// s3:// addresses.
//
// An object is written by one PUT, so it is at most 5 GiB large; spotrelay's
// are some MiB at most. Over TLS the payload is not hashed for the signature,
// but a CRC32C goes with it, which the store verifies.
package s3bucket

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"iter"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/spotrelay/spotrelay/checkpointing/bucket"
)

const (
	// pace: a request costs money, and a fleet of a thousand agents makes many.
	pace = time.Second
	poll = time.Second
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func init() { bucket.Register("s3", Open) }

// store is a bucket in S3.
type store struct {
	settings settings
	client   *s3.Client
	careful  aws.Retryer // of conditional writes
	http     *http.Client
	address  string
}

// Open opens the bucket that address names by its host. Its parameters are
// region, endpoint (of a store of one's own) and path_style. Credentials come
// from AWS's default chain. The one request that it may make asks for the
// bucket's region, when the address has none. Errors: CodeInvalid for an
// address or configuration that cannot be read, CodeUnsupported for a
// directory bucket. May be repeated.
func Open(ctx context.Context, address *url.URL) (bucket.Bucket, error) {
	s, err := parse(address)
	if err != nil {
		return nil, err
	}
	client, hc, err := newClient(ctx, &s)
	if err != nil {
		return nil, (&store{settings: s}).fail("open", address.String(), err)
	}
	return &store{settings: s, client: client, careful: newCareful(), http: hc, address: s.url()}, nil
}

// Describe implements bucket.Bucket.
func (s *store) Describe() bucket.Description {
	return bucket.Description{URL: s.address, Pace: pace, Poll: poll}
}

// Close implements bucket.Bucket.
func (s *store) Close() error {
	s.http.CloseIdleConnections()
	return nil
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
	input := &s3.GetObjectInput{Bucket: &s.settings.name, Key: &key, Range: byteRange(offset, length)}
	out, err := s.client.GetObject(ctx, input)
	if status(err) == http.StatusRequestedRangeNotSatisfiable {
		return s.empty(ctx, key)
	}
	if err != nil {
		return nil, bucket.Object{}, s.fail("get", key, err)
	}
	size, err := wholeSize(out)
	if err != nil {
		out.Body.Close()
		return nil, bucket.Object{}, s.fail("get", key, err)
	}
	o := bucket.Object{Key: key, Size: size, Version: version(out.ETag), Modified: aws.ToTime(out.LastModified)}
	return &body{ReadCloser: out.Body, s: s, key: key}, o, nil
}

// byteRange is the header for a range, nil for the whole object.
func byteRange(offset, length int64) *string {
	switch {
	case length >= 0:
		return aws.String(fmt.Sprintf("bytes=%d-%d", offset, offset+length-1))
	case offset > 0:
		return aws.String(fmt.Sprintf("bytes=%d-", offset))
	}
	return nil
}

// wholeSize is the object's, of which the answer may be a part.
func wholeSize(out *s3.GetObjectOutput) (int64, error) {
	if out.ContentRange == nil {
		return aws.ToInt64(out.ContentLength), nil
	}
	_, total, _ := strings.Cut(*out.ContentRange, "/")
	size, err := strconv.ParseInt(total, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("the store answered with the content range %q", *out.ContentRange)
	}
	return size, nil
}

// empty is no byte of an object that is there.
func (s *store) empty(ctx context.Context, key string) (io.ReadCloser, bucket.Object, error) {
	out, err := s.client.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &s.settings.name, Key: &key})
	if err != nil {
		return nil, bucket.Object{}, s.fail("get", key, err)
	}
	o := bucket.Object{Key: key, Size: aws.ToInt64(out.ContentLength), Version: version(out.ETag), Modified: aws.ToTime(out.LastModified)}
	return http.NoBody, o, nil
}

// body gives the errors of an answer that is cut short their code.
type body struct {
	io.ReadCloser
	s   *store
	key string
}

func (b *body) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		err = &bucket.Error{Code: bucket.CodeUnavailable, Op: "get", Key: b.key, Err: err}
	}
	return n, err
}

// Put implements bucket.Bucket. It reads body twice, first for the checksum.
func (s *store) Put(ctx context.Context, key string, body io.ReadSeeker, cond bucket.Condition) (bucket.Object, error) {
	if err := s.check(ctx, "put", key); err != nil {
		return bucket.Object{}, err
	}
	input := &s3.PutObjectInput{Bucket: &s.settings.name, Key: &key, Body: body}
	options := []func(*s3.Options){s.unsigned}
	switch {
	case cond.Absent && cond.Version != "":
		return bucket.Object{}, &bucket.Error{Code: bucket.CodeInvalid, Op: "put", Key: key, Err: errors.New("a put has one condition: that there is no object, or its version")}
	case cond.Absent:
		input.IfNoneMatch = aws.String("*")
	case cond.Version != "":
		input.IfMatch = aws.String(`"` + cond.Version + `"`)
	}
	if cond != (bucket.Condition{}) {
		options = append(options, s.conditional)
	}
	size, sum, err := checksum(body)
	if err != nil {
		return bucket.Object{}, &bucket.Error{Code: bucket.CodeUnavailable, Op: "put", Key: key, Err: err}
	}
	input.ContentLength, input.ChecksumCRC32C = &size, &sum
	out, err := s.client.PutObject(ctx, input, options...)
	if err != nil {
		if refused := s.lostRefusal(ctx, key, cond, err); refused != nil {
			err = refused
		}
		return bucket.Object{}, s.failPut(key, cond, err)
	}
	modified, _ := awsmiddleware.GetServerTime(out.ResultMetadata)
	return bucket.Object{Key: key, Size: size, Version: version(out.ETag), Modified: modified}, nil
}

// conditional has the call retried as a conditional write may be.
func (s *store) conditional(o *s3.Options) { o.Retryer = s.careful }

// lostRefusal finds out what a store said that broke the connection under a
// large body, as some do with their refusal. Since the body did not arrive
// whole, the write has not taken place, and so an object that breaks its
// condition is another's: that is a conflict, told as such.
func (s *store) lostRefusal(ctx context.Context, key string, cond bucket.Condition, err error) error {
	var cut *net.OpError
	if cond == (bucket.Condition{}) || !errors.As(err, &cut) || cut.Op != "write" {
		return nil
	}
	out, headErr := s.client.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &s.settings.name, Key: &key})
	there := headErr == nil
	if !there && !errors.Is(s.fail("put", key, headErr), bucket.ErrNotFound) {
		return nil // it remains unknown
	}
	holds := !there
	if !cond.Absent {
		holds = there && version(out.ETag) == cond.Version
	}
	if holds {
		return nil // the connection was cut by something else
	}
	return &bucket.Error{Code: bucket.CodeConflict, Op: "put", Key: key, Err: err}
}

// unsigned leaves the payload out of the signature where TLS guards it.
func (s *store) unsigned(o *s3.Options) {
	if !strings.HasPrefix(s.settings.endpoint, "http://") {
		o.APIOptions = append(o.APIOptions, v4.SwapComputePayloadSHA256ForUnsignedPayloadMiddleware)
	}
}

// checksum reads body from where it is to its end and goes back.
func checksum(body io.ReadSeeker) (size int64, sum string, err error) {
	start, err := body.Seek(0, io.SeekCurrent)
	if err != nil {
		return 0, "", err
	}
	crc := crc32.New(castagnoli)
	if size, err = io.Copy(crc, body); err != nil {
		return 0, "", err
	}
	if _, err = body.Seek(start, io.SeekStart); err != nil {
		return 0, "", err
	}
	return size, base64.StdEncoding.EncodeToString(binary.BigEndian.AppendUint32(nil, crc.Sum32())), nil
}

// version is an ETag without its quotes, which some stores leave out of a
// listing.
func version(etag *string) string { return strings.Trim(aws.ToString(etag), `"`) }

// List implements bucket.Bucket. Objects whose keys spotrelay could not have
// made, such as the folder markers of S3's console, are left out.
func (s *store) List(ctx context.Context, prefix, startAfter string) iter.Seq2[bucket.Object, error] {
	return func(yield func(bucket.Object, error) bool) {
		if err := bucket.CheckPrefix(prefix); err != nil {
			yield(bucket.Object{}, err)
			return
		}
		input := &s3.ListObjectsV2Input{Bucket: &s.settings.name, Prefix: &prefix}
		if startAfter != "" {
			input.StartAfter = &startAfter
		}
		pages := s3.NewListObjectsV2Paginator(s.client, input)
		for pages.HasMorePages() {
			page, err := pages.NextPage(ctx)
			if err != nil {
				yield(bucket.Object{}, s.fail("list", prefix, err))
				return
			}
			for _, found := range page.Contents {
				key := aws.ToString(found.Key)
				if bucket.CheckKey("list", key) != nil {
					continue
				}
				o := bucket.Object{Key: key, Size: aws.ToInt64(found.Size), Version: version(found.ETag), Modified: aws.ToTime(found.LastModified)}
				if !yield(o, nil) {
					return
				}
			}
		}
	}
}

// Delete implements bucket.Bucket.
func (s *store) Delete(ctx context.Context, key string) error {
	if err := s.check(ctx, "delete", key); err != nil {
		return err
	}
	_, err := s.client.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &s.settings.name, Key: &key})
	if err == nil {
		return nil
	}
	failure := s.fail("delete", key, err)
	if errors.Is(failure, bucket.ErrNotFound) && codeOf(err) != noSuchBucket {
		return nil
	}
	return failure
}

func (s *store) check(ctx context.Context, op, key string) error {
	if err := ctx.Err(); err != nil {
		return &bucket.Error{Code: bucket.CodeUnavailable, Op: op, Key: key, Err: err}
	}
	return bucket.CheckKey(op, key)
}
