package checkpointing

import (
	"bytes"
	"context"
	"errors"

	"github.com/spotrelay/spotrelay/checkpointing/bucket"
)

// CopyManifest writes a manifest once more, under another key, so that what it
// names lives as long as either of them. Both have the same bytes and so the
// same digest; the chunks are shared. A manifest with those bytes that is there
// already is a success. What the source names must be there, as far as a look
// without reading tells.
//
// A collection that runs at the same time is no danger when its roots list the
// source's prefix before the copy's: the source is looked at once more after
// the copy was written, and when it is gone the copy is taken back, and the
// error is CodeMissing.
//
// Errors as of Engine.Restore for the source; CodeConflict when something else
// has the key; the bucket's. May be repeated.
func CopyManifest(ctx context.Context, b bucket.Bucket, from Ref, key string) (Ref, error) {
	return copyManifest(ctx, b, from, key, func(m *manifest, data []byte) []byte { return data })
}

// CopyCheckpoint is CopyManifest for a checkpoint that is to be another one of
// its series: the copy has this ID, which its key ends in, and so a digest of
// its own. Its content is the same. Copies of one checkpoint with one ID are
// equal. Errors as of CopyManifest. May be repeated.
func CopyCheckpoint(ctx context.Context, b bucket.Bucket, from Ref, key string, id ID) (Ref, error) {
	if named, ok := idOfKey(key); !ok || named != id {
		return Ref{}, &Error{Code: CodeInvalid, Op: "copy", What: key, Err: errors.New("the key of a checkpoint ends in " + ManifestName(id))}
	}
	return copyManifest(ctx, b, from, key, func(m *manifest, _ []byte) []byte {
		m.ID = id
		return encodeManifest(m)
	})
}

// copyManifest copies what store makes of the source.
func copyManifest(ctx context.Context, b bucket.Bucket, from Ref, key string, store func(*manifest, []byte) []byte) (Ref, error) {
	e := forManifests(b)
	data, err := e.get(ctx, from.Key, maxManifest)
	if err != nil {
		return Ref{}, missing("copy", from.Key, err)
	}
	if from.Digest != "" && digestOf(data).String() != from.Digest {
		return Ref{}, &Error{Code: CodeCorrupt, Op: "copy", What: from.Key, Err: errors.New("the manifest is not the one that was committed: its digest differs")}
	}
	m, err := decodeManifest(data)
	if err != nil {
		return Ref{}, manifestError("copy", from.Key, err)
	}
	if err := e.packsPresent(ctx, m); err != nil {
		return Ref{}, err
	}
	data = store(m, data)
	if _, err := b.Put(ctx, key, bytes.NewReader(data), bucket.IfAbsent()); err != nil {
		there, readErr := e.get(ctx, key, maxManifest)
		switch {
		case readErr == nil && bytes.Equal(there, data):
		case errors.Is(err, bucket.ErrConflict):
			return Ref{}, &Error{Code: CodeConflict, Op: "copy", What: key, Err: err, Hint: "another manifest has this key"}
		default:
			return Ref{}, err
		}
	}
	if err := e.stillThere(ctx, from.Key); err != nil {
		if errors.Is(err, bucket.ErrNotFound) {
			err = errors.Join(missing("copy", from.Key, err), b.Delete(ctx, key))
		}
		return Ref{}, err
	}
	return m.ref(key, data), nil
}

// stillThere is bucket.ErrNotFound when an object is gone.
func (e *engine) stillThere(ctx context.Context, key string) error {
	_, err := retry(ctx, func() (struct{}, error) {
		body, _, err := e.bucket.Get(ctx, key, 0, 1)
		if err == nil {
			err = body.Close()
		}
		return struct{}{}, err
	})
	return err
}

// forManifests is an engine that reads manifests alone.
func forManifests(b bucket.Bucket) *engine {
	return &engine{bucket: b, codec: sharedCodec(), damaged: map[string]bool{}}
}
