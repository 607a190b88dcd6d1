package bucket_test

import (
	"context"
	"errors"
	"net/url"
	"strings"
	"testing"

	"github.com/spotrelay/spotrelay/checkpointing/bucket"
)

// registered is a folder behind a scheme of its own, and counts its closings.
type registered struct {
	bucket.Bucket
	closed *int
}

func (r registered) Close() error {
	*r.closed++
	return r.Bucket.Close()
}

func (r registered) Describe() bucket.Description {
	return bucket.Description{URL: "test://name?a=b"}
}

func TestRegister(t *testing.T) {
	var asked []string
	closed := 0
	dir := t.TempDir()
	bucket.Register("test", func(ctx context.Context, u *url.URL) (bucket.Bucket, error) {
		asked = append(asked, u.String())
		b, err := bucket.Open(ctx, dir)
		return registered{b, &closed}, err
	})
	b, err := bucket.Open(t.Context(), "test://name/a b/c%25d/?a=b")
	if err != nil {
		t.Fatal(err)
	}
	if got := b.Describe().URL; got != "test://name/a%20b/c%25d?a=b" {
		t.Errorf("its address is %s", got)
	}
	if _, err := b.Put(t.Context(), "key", strings.NewReader("x"), bucket.IfAbsent()); err != nil {
		t.Fatal(err)
	}
	if err := b.Close(); err != nil || closed != 1 {
		t.Errorf("closed %d times, %v", closed, err)
	}
	if len(asked) != 1 || asked[0] != "test://name?a=b" {
		t.Errorf("the driver was asked for %q", asked)
	}
	whole, err := bucket.Open(t.Context(), "test://name")
	if err != nil {
		t.Fatal(err)
	}
	defer whole.Close()
	for o, err := range whole.List(t.Context(), "", "") {
		if err != nil || o.Key != "a b/c%d/key" {
			t.Errorf("there is %s, %v", o.Key, err)
		}
	}
}

func TestBadURLs(t *testing.T) {
	bucket.Register("test2", func(context.Context, *url.URL) (bucket.Bucket, error) {
		t.Error("the driver was asked")
		return nil, errors.New("asked")
	})
	for address, want := range map[string]string{
		"test2://":                  "names no bucket",
		"test2:///prefix":           "names no bucket",
		"test2://key:s3cret@name/x": "default chain",
		"test2://name/a//b":         "empty element",
		"test2://name/../b":         `".." element`,
		"test2://name/a#b":          "#b",
		"test2://na%zzme":           "invalid",
		"other://name":              `unknown scheme "other"`,
		"s3://name":                 "without a driver",
	} {
		_, err := bucket.Open(t.Context(), address)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: %v, want it to say %q", address, err, want)
		}
		if !errors.Is(err, bucket.ErrInvalid) && !errors.Is(err, bucket.ErrUnsupported) {
			t.Errorf("%s: code %s", address, bucket.CodeOf(err))
		}
	}
}
