package store

import (
	"context"
	"errors"

	"github.com/spotrelay/spotrelay/checkpointing/bucket"
	"github.com/spotrelay/spotrelay/runner/job"
)

// CacheClaimsPrefix is the prefix of the claims: who computes which key.
const CacheClaimsPrefix = "cache-claims/"

// CacheClaimKey is the claim of a cache key.
func CacheClaimKey(key string) string { return CacheClaimsPrefix + key }

// claimDocument is cache-claims/<key>. It is not renewed: it stands as long as
// the lease of its run does.
type claimDocument struct {
	Version int `json:"version"`
	job.CacheClaim
}

// ReadCacheClaim reads who computes a key, with the object whose Version
// TakeCacheClaim takes. Errors: bucket.ErrNotFound, ErrVersion, ErrCorrupt. May
// be repeated.
func ReadCacheClaim(ctx context.Context, b bucket.Bucket, key string) (job.CacheClaim, bucket.Object, error) {
	document, object, err := read[claimDocument](ctx, b, CacheClaimKey(key))
	return document.CacheClaim, object, err
}

// TakeCacheClaim claims a key, over the version last seen, "" for none. After a
// refusal or a lost answer it reads the claim back, and finding its own is a
// success. Errors: ErrLost when another's is there; the bucket's. May be
// repeated.
func TakeCacheClaim(ctx context.Context, b bucket.Bucket, key string, claim job.CacheClaim, version string) error {
	data, err := encode(claimDocument{job.SpecVersion, claim})
	if err != nil {
		return err
	}
	cond := bucket.IfAbsent()
	if version != "" {
		cond = bucket.IfVersion(version)
	}
	_, err = writeObject(ctx, b, CacheClaimKey(key), data, cond)
	if err == nil {
		return nil
	}
	found, _, readErr := ReadCacheClaim(ctx, b, key)
	switch {
	case readErr == nil && found == claim:
		return nil
	case readErr == nil, errors.Is(err, bucket.ErrConflict):
		return &Error{Code: CodeLost, Op: "write", Key: CacheClaimKey(key), Err: err}
	}
	return err
}

// GiveUpCacheClaim removes a claim, if it is still the one given. Should
// another have taken it over at this very moment its claim may go too: then
// two compute, and neither is wrong. Errors are the bucket's. May be repeated.
func GiveUpCacheClaim(ctx context.Context, b bucket.Bucket, key string, claim job.CacheClaim) error {
	found, _, err := ReadCacheClaim(ctx, b, key)
	switch {
	case errors.Is(err, bucket.ErrNotFound), err == nil && found != claim, errors.Is(err, ErrVersion):
		return nil
	case err != nil && !errors.Is(err, ErrCorrupt):
		return err
	}
	return b.Delete(ctx, CacheClaimKey(key))
}
