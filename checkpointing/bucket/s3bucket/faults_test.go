package s3bucket_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/spotrelay/spotrelay/checkpointing/bucket"
	"github.com/spotrelay/spotrelay/checkpointing/bucket/servertest"
)

const slowDown = `<?xml version="1.0"?><Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>`

// times applies fault to the first n requests of method and passes the others.
func times(n int64, method string, fault servertest.Fault) func(*http.Request) servertest.Fault {
	var seen atomic.Int64
	return func(r *http.Request) servertest.Fault {
		if r.Method == method && seen.Add(1) <= n {
			return fault
		}
		return servertest.Fault{}
	}
}

func read(t *testing.T, b bucket.Bucket, key string) (string, bucket.Object) {
	t.Helper()
	body, o, err := b.Get(t.Context(), key, 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	defer body.Close()
	data, err := io.ReadAll(body)
	if err != nil {
		t.Fatal(err)
	}
	return string(data), o
}

// TestLostAnswers: a conditional write whose answer is lost is sent once and
// told as unavailable, and the object read back says that it took place.
func TestLostAnswers(t *testing.T) {
	proxy := servertest.NewProxy(t, servertest.StartS3(t, nil))
	b := open(t, fresh(proxy.Server))
	lose := times(1, http.MethodPut, servertest.Fault{Lose: true})

	proxy.Rule(lose)
	_, err := b.Put(t.Context(), "lease", strings.NewReader("first"), bucket.IfAbsent())
	if bucket.CodeOf(err) != bucket.CodeUnavailable {
		t.Fatalf("the first answer was lost: %v", err)
	}
	if n := len(proxy.Requests()); n != 1 {
		t.Fatalf("a conditional write was sent %d times: %q", n, proxy.Requests())
	}
	content, first := read(t, b, "lease")
	if content != "first" {
		t.Fatalf("read back %q", content)
	}

	proxy.Rule(times(1, http.MethodPut, servertest.Fault{Lose: true}))
	_, err = b.Put(t.Context(), "lease", strings.NewReader("second"), bucket.IfVersion(first.Version))
	if bucket.CodeOf(err) != bucket.CodeUnavailable || len(proxy.Requests()) != 1 {
		t.Fatalf("the second answer was lost: %v after %q", err, proxy.Requests())
	}
	if content, _ := read(t, b, "lease"); content != "second" {
		t.Fatalf("read back %q", content)
	}

	proxy.Rule(times(1, http.MethodPut, servertest.Fault{Lose: true}))
	if _, err := b.Put(t.Context(), "log", strings.NewReader("lines"), bucket.Condition{}); err != nil {
		t.Fatalf("an unconditional write is repeated: %v", err)
	}
	if n := len(proxy.Requests()); n != 2 {
		t.Errorf("it was sent %d times", n)
	}
}

// TestLostIdentity: the bucket gets its identity whichever answer is lost.
func TestLostIdentity(t *testing.T) {
	proxy := servertest.NewProxy(t, servertest.StartS3(t, nil))
	b := open(t, fresh(proxy.Server))
	proxy.Rule(func(r *http.Request) servertest.Fault {
		return servertest.Fault{Lose: r.Method == http.MethodPut && strings.HasSuffix(r.URL.Path, "/bucket.json")}
	})
	id, err := bucket.Identify(t.Context(), b)
	if err != nil {
		t.Fatal(err)
	}
	proxy.Rule(nil)
	if again, err := bucket.Identify(t.Context(), b); err != nil || again != id {
		t.Errorf("it is %v and then %v (%v)", id, again, err)
	}
}

// TestBusy: what a busy store refused is sent again; a refusal that may have
// come from something before the store is not, for a conditional write.
func TestBusy(t *testing.T) {
	proxy := servertest.NewProxy(t, servertest.StartS3(t, nil))
	b := open(t, fresh(proxy.Server))
	busy := servertest.Fault{Status: http.StatusServiceUnavailable, Body: slowDown}
	unknown := servertest.Fault{Status: http.StatusServiceUnavailable, Body: "upstream connect error"}

	proxy.Rule(times(2, http.MethodPut, busy))
	if _, err := b.Put(t.Context(), "a", strings.NewReader("x"), bucket.IfAbsent()); err != nil {
		t.Errorf("SlowDown twice: %v", err)
	}
	proxy.Rule(times(100, http.MethodPut, busy))
	if _, err := b.Put(t.Context(), "b", strings.NewReader("x"), bucket.IfAbsent()); bucket.CodeOf(err) != bucket.CodeUnavailable {
		t.Errorf("SlowDown without end: %v", err)
	}
	proxy.Rule(times(1, http.MethodPut, unknown))
	if _, err := b.Put(t.Context(), "b", strings.NewReader("x"), bucket.IfAbsent()); bucket.CodeOf(err) != bucket.CodeUnavailable || len(proxy.Requests()) != 1 {
		t.Errorf("503 by something else: %v after %q", err, proxy.Requests())
	}
	proxy.Rule(times(1, http.MethodGet, unknown))
	if content, _ := read(t, b, "a"); content != "x" {
		t.Errorf("a read after 503 gives %q", content)
	}
	proxy.Rule(times(1, http.MethodDelete, unknown))
	if err := b.Delete(t.Context(), "a"); err != nil {
		t.Errorf("a deletion after 503: %v", err)
	}
}

// TestCutAnswer: the end of a body that is cut off is no end.
func TestCutAnswer(t *testing.T) {
	proxy := servertest.NewProxy(t, servertest.StartS3(t, nil))
	b := open(t, fresh(proxy.Server))
	if _, err := b.Put(t.Context(), "chunk", strings.NewReader(strings.Repeat("x", 1<<20)), bucket.Condition{}); err != nil {
		t.Fatal(err)
	}
	proxy.Rule(times(1, http.MethodGet, servertest.Fault{CutAfter: 300_000}))
	body, o, err := b.Get(t.Context(), "chunk", 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	defer body.Close()
	n, err := io.Copy(io.Discard, body)
	if bucket.CodeOf(err) != bucket.CodeUnavailable || n >= o.Size {
		t.Errorf("read %d of %d bytes, then %v", n, o.Size, err)
	}
}

// TestDelay: a call ends with its context, whatever the store does.
func TestDelay(t *testing.T) {
	proxy := servertest.NewProxy(t, servertest.StartS3(t, nil))
	b := open(t, fresh(proxy.Server))
	never := make(chan struct{})
	defer close(never)
	proxy.Rule(func(*http.Request) servertest.Fault { return servertest.Fault{Wait: never} })
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := b.Put(ctx, "key", strings.NewReader("x"), bucket.IfAbsent())
	if bucket.CodeOf(err) != bucket.CodeUnavailable || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Put: %v", err)
	}
	if _, _, err := b.Get(ctx, "key", 0, -1); !errors.Is(err, bucket.ErrUnavailable) {
		t.Errorf("Get: %v", err)
	}
}

// TestIgnoredConditions: a store that overlooks either header is refused, by
// name.
func TestIgnoredConditions(t *testing.T) {
	proxy := servertest.NewProxy(t, servertest.StartS3(t, nil))
	for header, want := range map[string]string{"If-None-Match": "create-if-absent", "If-Match": "compare-and-swap"} {
		b := open(t, fresh(proxy.Server))
		proxy.Rule(func(*http.Request) servertest.Fault { return servertest.Fault{Strip: []string{header}} })
		_, err := bucket.Identify(t.Context(), b)
		if !errors.Is(err, bucket.ErrUnsupported) || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), b.Describe().URL) {
			t.Errorf("without %s: %v", header, err)
		}
	}
}

func TestWrongPlace(t *testing.T) {
	server := servertest.StartS3(t, nil)
	missing := open(t, server.URLOf("no-such-bucket", "prefix"))
	_, err := bucket.Identify(t.Context(), missing)
	if !errors.Is(err, bucket.ErrNotFound) || !strings.Contains(err.Error(), "there is no bucket no-such-bucket") {
		t.Errorf("a bucket that is not there: %v", err)
	}
	if err := missing.Delete(t.Context(), "key"); !errors.Is(err, bucket.ErrNotFound) {
		t.Errorf("a deletion in a bucket that is not there: %v", err)
	}
	t.Setenv("AWS_SECRET_ACCESS_KEY", "wrong")
	if _, err := bucket.Identify(t.Context(), open(t, fresh(server))); !errors.Is(err, bucket.ErrDenied) || !strings.Contains(err.Error(), "AWS_SECRET_ACCESS_KEY") {
		t.Errorf("a wrong secret: %v", err)
	}
	t.Setenv("AWS_ACCESS_KEY_ID", "nobody")
	if _, err := bucket.Identify(t.Context(), open(t, fresh(server))); !errors.Is(err, bucket.ErrDenied) || !strings.Contains(err.Error(), "AWS_ACCESS_KEY_ID") {
		t.Errorf("a wrong key: %v", err)
	}
	if _, err := bucket.Identify(t.Context(), open(t, "s3://name?endpoint="+url.QueryEscape("http://127.0.0.1:1"))); !errors.Is(err, bucket.ErrUnavailable) {
		t.Errorf("nobody listens: %v", err)
	}
}

// TestPages lists more objects than a page holds.
func TestPages(t *testing.T) {
	b := open(t, fresh(servertest.StartS3(t, nil)))
	const objects, writers = 1_203, 8
	var want []string
	for i := range objects {
		want = append(want, fmt.Sprintf("docs/%05d", i))
	}
	var group sync.WaitGroup
	for w := range writers {
		group.Go(func() {
			for i := w; i < objects; i += writers {
				if _, err := b.Put(t.Context(), want[i], strings.NewReader("x"), bucket.Condition{}); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	group.Wait()
	for _, from := range []int{-1, 0, 100, objects - 2} {
		after := ""
		if from >= 0 {
			after = want[from]
		}
		var got []string
		for o, err := range b.List(t.Context(), "docs/", after) {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, o.Key)
		}
		if !slices.Equal(got, want[from+1:]) {
			t.Errorf("after %q: %d keys, want %d", after, len(got), objects-from-1)
		}
	}
}
