package store

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"

	"github.com/spotrelay/spotrelay/checkpointing/bucket"
	"github.com/spotrelay/spotrelay/runner/job"
)

// Imported is what a source held when it was imported last.
type Imported struct {
	Version int    `json:"version"`
	Source  string `json:"source"`
	// Listing is a digest of names, sizes and versions, which changes when the
	// source does.
	Listing  string       `json:"listing"`
	Manifest job.Manifest `json:"manifest"`
}

func importKeyOf(source string) string {
	sum := sha256.Sum256([]byte(source))
	return ImportKey(hex.EncodeToString(sum[:16]))
}

// ReadImported is what is known of a source, and whether anything is.
func ReadImported(ctx context.Context, b bucket.Bucket, source string) (Imported, bool, error) {
	imported, _, err := read[Imported](ctx, b, importKeyOf(source))
	switch {
	case errors.Is(err, bucket.ErrNotFound), isCorruptOrUnknown(err):
		return Imported{}, false, nil
	case err != nil:
		return Imported{}, false, err
	}
	return imported, imported.Source == source, nil
}

// WriteImported notes what a source held. The last one who does is right as well
// as any.
func WriteImported(ctx context.Context, b bucket.Bucket, imported Imported) error {
	imported.Version = job.SpecVersion
	data, err := encode(imported)
	if err != nil {
		return err
	}
	_, err = writeObject(ctx, b, importKeyOf(imported.Source), data, bucket.Condition{})
	return err
}

// CopyManifest puts a manifest under a further key, so that what it names stays
// as long as either is there. Errors: bucket.ErrNotFound when it is gone. May be
// repeated.
func CopyManifest(ctx context.Context, b bucket.Bucket, manifest job.Manifest, key string) (job.Manifest, error) {
	data, _, err := readObject(ctx, b, manifest.Key)
	if err != nil {
		return job.Manifest{}, err
	}
	if _, err := b.Put(ctx, key, bytes.NewReader(data), bucket.Condition{}); err != nil {
		return job.Manifest{}, err
	}
	manifest.Key = key
	return manifest, nil
}
