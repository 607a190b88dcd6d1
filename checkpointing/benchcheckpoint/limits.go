package main

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/spotrelay/spotrelay/checkpointing/bucket/servertest"
)

// The limits are no tools: bare sends as many bytes as have changed over TLS by
// plain PUTs of 8 MiB, and fetches as many as there are; copying is a local
// copy that is flushed.
const (
	bare    = "bare TLS"
	copying = "copy + fsync"
	piece   = 8 * mib
	lanes   = 8
)

type limit struct {
	name string
	load workload
}

// Name is bare or copying.
func (l limit) Name() string { return l.name }

// Open remembers the place.
func (l limit) Open(_ context.Context, at site) (repo, error) {
	return &limitRepo{limit: l, at: at}, nil
}

type limitRepo struct {
	limit
	at site
}

// Save sends what has changed, or copies the directory.
func (r *limitRepo) Save(ctx context.Context, dir string) (usage, error) {
	if r.name == copying {
		to := filepath.Join(filepath.Dir(dir), "copy")
		u, err := runChild(ctx, r.at, "copy", dir, to)
		return u, firstError(err, os.RemoveAll(to)) // it takes room
	}
	return runChild(ctx, r.at, "upload", r.at.Endpoint, r.at.Repo, decimal(r.load.Changed), decimal(r.load.Changed))
}

// Restore fetches what there is, or copies the directory.
func (r *limitRepo) Restore(ctx context.Context, dir, to string) (usage, error) {
	if r.name == copying {
		return runChild(ctx, r.at, "copy", dir, to)
	}
	// What was sent is read as often as it takes.
	return runChild(ctx, r.at, "download", r.at.Endpoint, r.at.Repo, decimal(r.load.Bytes), decimal(r.load.Changed))
}

func decimal(n int64) string { return strconv.FormatInt(n, 10) }

// Close does nothing.
func (*limitRepo) Close() error { return nil }

// serveLimit is the process of a limit.
func serveLimit(ctx context.Context, role string, args []string) error {
	if role == "copy" && len(args) == 2 {
		return copyTree(args[0], args[1])
	}
	if len(args) != 4 {
		return fmt.Errorf("%s: 4 arguments are needed, %d were given", role, len(args))
	}
	n, err := strconv.ParseInt(args[2], 10, 64)
	stored, otherErr := strconv.ParseInt(args[3], 10, 64)
	if err := firstError(err, otherErr); err != nil || stored <= 0 {
		return fmt.Errorf("%s: %d bytes of %d: %w", role, n, stored, err)
	}
	method := http.MethodPut
	if role == "download" {
		method = http.MethodGet
	}
	transport, ok := http.DefaultTransport.(*http.Transport)
	if !ok {
		return fmt.Errorf("the default transport is a %T", http.DefaultTransport)
	}
	transport = transport.Clone()
	transport.MaxIdleConnsPerHost, transport.ForceAttemptHTTP2 = lanes, false
	transport.WriteBufferSize, transport.ReadBufferSize = 256*kib, 256*kib
	body := make([]byte, min(piece, max(n, 1)))
	if _, err := io.ReadFull(noise(7, 0), body); err != nil {
		return err
	}
	all, ctx := errgroup.WithContext(ctx)
	all.SetLimit(lanes)
	for left, at := n, int64(0); left > 0; {
		part := min(piece, stored-at)
		address := fmt.Sprintf("%s/%s/%s/%06d", args[0], s3Bucket, args[1], at/piece)
		all.Go(func() error {
			return transfer(ctx, &http.Client{Transport: transport}, method, address, body[:part])
		})
		left -= part
		if at += part; at == stored {
			at = 0
		}
	}
	return all.Wait()
}

// transfer sends body, or fetches the object and drops it.
func transfer(ctx context.Context, client *http.Client, method, address string, body []byte) error {
	var sent io.Reader
	if method == http.MethodPut {
		sent = bytes.NewReader(body)
	}
	r, err := http.NewRequestWithContext(ctx, method, address, sent)
	if err != nil {
		return err
	}
	sign(r, time.Now())
	answer, err := client.Do(r)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		said, _ := io.ReadAll(io.LimitReader(answer.Body, 1000)) // the status is enough
		return fmt.Errorf("%s %s: %s: %s", method, address, answer.Status, said)
	}
	_, err = io.CopyBuffer(struct{ io.Writer }{io.Discard}, answer.Body, make([]byte, 256*kib))
	return err
}

// sign signs a request without query for S3, by AWS Signature Version 4 with
// an unsigned payload.
func sign(r *http.Request, now time.Time) {
	const payload, headers = "UNSIGNED-PAYLOAD", "host;x-amz-content-sha256;x-amz-date"
	date := now.UTC().Format("20060102T150405Z")
	scope := date[:8] + "/us-east-1/s3/aws4_request"
	r.Header.Set("X-Amz-Content-Sha256", payload)
	r.Header.Set("X-Amz-Date", date)
	canonical := sha256.Sum256([]byte(r.Method + "\n" + r.URL.EscapedPath() + "\n\nhost:" + r.URL.Host +
		"\nx-amz-content-sha256:" + payload + "\nx-amz-date:" + date + "\n\n" + headers + "\n" + payload))
	key := []byte("AWS4" + servertest.SecretKey)
	for _, part := range []string{date[:8], "us-east-1", "s3", "aws4_request"} {
		key = mac(key, part)
	}
	signature := mac(key, "AWS4-HMAC-SHA256\n"+date+"\n"+scope+"\n"+hex.EncodeToString(canonical[:]))
	r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential="+servertest.AccessKey+"/"+scope+
		", SignedHeaders="+headers+", Signature="+hex.EncodeToString(signature))
}

func mac(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	return h.Sum(nil)
}

// copyTree copies a directory and flushes each file.
func copyTree(from, to string) error {
	return filepath.WalkDir(from, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		if entry.IsDir() {
			return os.MkdirAll(filepath.Join(to, name), 0o755)
		}
		return copyFile(path, filepath.Join(to, name))
	})
}

func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.Create(to)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return firstError(err, out.Sync(), out.Close())
}
