package main

import (
	"context"
	"errors"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/spotrelay/spotrelay/checkpointing/bucket"
)

// defaultFolder is the bucket where nothing names another.
const defaultFolder = ".spotrelay"

// bucketAddress is the bucket's address: the flag, the environment, what the job
// file says, the folder .spotrelay here. A relative path becomes absolute, so
// that the address means the same to every process.
func (a *app) bucketAddress(fromFile string) (string, error) {
	address := defaultFolder
	for _, candidate := range []string{a.bucket, os.Getenv("SPOTRELAY_BUCKET"), fromFile} {
		if candidate != "" {
			address = candidate
			break
		}
	}
	if strings.Contains(address, "://") {
		return address, nil
	}
	path, err := filepath.Abs(address)
	if err != nil {
		return "", err
	}
	path = filepath.ToSlash(path)
	if !strings.HasPrefix(path, "/") {
		path = "/" + path
	}
	return (&url.URL{Scheme: "file", Path: path}).String(), nil
}

// openBucket opens the bucket of a command that works on what is there: a
// folder that does not exist is not made.
func (a *app) openBucket(ctx context.Context) (bucket.Bucket, error) {
	address, err := a.bucketAddress("")
	if err != nil {
		return nil, err
	}
	if path, ok := folderOf(address); ok {
		if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
			return nil, wrongCall("name the bucket of your runs by --bucket or SPOTRELAY_BUCKET, or go to the folder you ran spotrelay in",
				"there is no bucket at %s", address)
		}
	}
	return openAddress(ctx, address)
}

// openAddress opens a bucket; an address that cannot be one is a wrong call.
func openAddress(ctx context.Context, address string) (bucket.Bucket, error) {
	if path, ok := folderOf(address); ok {
		if info, err := os.Stat(path); err == nil && !info.IsDir() {
			return nil, wrongCall("name a folder by --bucket; it is made if it does not exist", "the bucket %s is no folder", address)
		}
	}
	b, err := bucket.Open(ctx, address)
	if errors.Is(err, bucket.ErrInvalid) || errors.Is(err, bucket.ErrUnsupported) {
		return nil, wrongCall("", "%w", err)
	}
	return b, err
}

// folderOf is the folder of a file:///absolute/path address.
func folderOf(address string) (string, bool) {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "file" || u.Host != "" && u.Host != "localhost" || u.Path == "" {
		return "", false
	}
	return filepath.FromSlash(u.Path), true
}
