package store

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"

	"github.com/spotrelay/spotrelay/checkpointing/bucket"
	"github.com/spotrelay/spotrelay/runner/job"
)

// maxDocument bounds what is read into memory as one document, in bytes.
const maxDocument = 256 << 20

// readObject is the whole content of key, which may not be larger than
// maxDocument.
func readObject(ctx context.Context, b bucket.Bucket, key string) ([]byte, bucket.Object, error) {
	body, object, err := b.Get(ctx, key, 0, -1)
	if err != nil {
		return nil, bucket.Object{}, err
	}
	defer body.Close()
	if object.Size > maxDocument {
		return nil, object, corrupt(key, "it has %d bytes, more than any document", object.Size)
	}
	data := bytes.NewBuffer(make([]byte, 0, max(object.Size, 0)+bytes.MinRead))
	if _, err := io.Copy(data, io.LimitReader(body, maxDocument)); err != nil {
		return nil, object, &bucket.Error{Code: bucket.CodeUnavailable, Op: "get", Key: key, Err: err}
	}
	return data.Bytes(), object, nil
}

// writeObject puts data at key under a condition.
func writeObject(ctx context.Context, b bucket.Bucket, key string, data []byte, cond bucket.Condition) (bucket.Object, error) {
	return b.Put(ctx, key, bytes.NewReader(data), cond)
}

// encode is a document as it stands in the bucket: JSON on one line, so that
// it is cheap, and can be looked at.
func encode(document any) ([]byte, error) {
	data, err := json.Marshal(document)
	if err != nil {
		return nil, fmt.Errorf("encoding a document: %w", err)
	}
	return append(data, '\n'), nil
}

// decode reads a document whose version is checked before its content, so
// that a later form is named as such and never misread. Unknown fields are
// passed over: neighbouring versions work together.
func decode[T any](key string, data []byte) (T, error) {
	var document T
	if !bytes.HasPrefix(data, current) {
		var head struct {
			Version int `json:"version"`
		}
		if err := json.Unmarshal(data, &head); err != nil {
			return document, corrupt(key, "it is not a JSON document: %w", err)
		}
		if !knownVersion(head.Version) {
			return document, unknownVersion(key, head.Version, job.SpecVersion)
		}
	}
	if err := json.Unmarshal(data, &document); err != nil {
		return document, corrupt(key, "%w", err)
	}
	return document, nil
}

// current is how a document of this version begins, as all that encode writes
// do; of another the version is looked for first.
var current = fmt.Appendf(nil, `{"version":%d,`, job.SpecVersion)

// knownVersion: this version of the documents, and the one before.
func knownVersion(version int) bool {
	return version >= 1 && version >= job.SpecVersion-1 && version <= job.SpecVersion
}

func read[T any](ctx context.Context, b bucket.Bucket, key string) (T, bucket.Object, error) {
	data, object, err := readObject(ctx, b, key)
	if err != nil {
		var none T
		return none, object, err
	}
	document, err := decode[T](key, data)
	return document, object, err
}
