package bucket

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
)

// Format is the version of the bucket's layout that this program writes.
const Format = 1

// identityKey holds the bucket's identity.
const identityKey = "bucket.json"

// Identity is what a bucket is called: instances are tagged with its ID, so
// that whoever sweeps touches only its own.
type Identity struct {
	ID     string `json:"id"`     // random, 26 characters of a-z2-7, made once
	Format int    `json:"format"` // of the layout
}

// Identify is the bucket's identity. The first call on a bucket probes it and
// creates bucket.json; later ones only read it. Errors: those of Probe, and
// CodeUnsupported for a bucket of a later format. May be repeated, and by
// several processes at once: all get the same answer.
func Identify(ctx context.Context, b Bucket) (Identity, error) {
	id, err := readIdentity(ctx, b)
	if !errors.Is(err, ErrNotFound) {
		return id, err
	}
	if err := Probe(ctx, b); err != nil {
		return Identity{}, err
	}
	id = Identity{ID: strings.ToLower(rand.Text()), Format: Format}
	data, err := json.Marshal(id)
	if err != nil {
		return Identity{}, err
	}
	_, err = b.Put(ctx, identityKey, bytes.NewReader(append(data, '\n')), IfAbsent())
	if err != nil && !errors.Is(err, ErrConflict) && !errors.Is(err, ErrUnavailable) {
		return Identity{}, err
	}
	// Ours, or that of whoever was first, or ours after a lost answer.
	read, readErr := readIdentity(ctx, b)
	if errors.Is(readErr, ErrNotFound) && err != nil {
		return Identity{}, err
	}
	return read, readErr
}

func readIdentity(ctx context.Context, b Bucket) (Identity, error) {
	body, _, err := b.Get(ctx, identityKey, 0, -1)
	if err != nil {
		return Identity{}, err
	}
	defer body.Close()
	data, err := io.ReadAll(io.LimitReader(body, 1<<16))
	if err != nil {
		return Identity{}, &Error{Code: CodeUnavailable, Op: "get", Key: identityKey, Err: err}
	}
	var id Identity
	if err := json.Unmarshal(data, &id); err != nil || id.ID == "" {
		return Identity{}, &Error{
			Code: CodeInvalid, Op: "get", Key: identityKey,
			Err:  fmt.Errorf("it is not a bucket's identity: %.80q", data),
			Hint: "choose an empty bucket or prefix, or one that spotrelay made",
		}
	}
	if id.Format != Format {
		return Identity{}, &Error{
			Code: CodeUnsupported, Op: "get", Key: identityKey,
			Err:  fmt.Errorf("the bucket has format %d and this program knows format %d", id.Format, Format),
			Hint: "use a version of spotrelay that knows it",
		}
	}
	return id, nil
}
