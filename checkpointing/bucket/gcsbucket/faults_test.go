package gcsbucket_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/spotrelay/spotrelay/checkpointing/bucket"
	"github.com/spotrelay/spotrelay/checkpointing/bucket/servertest"
)

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
	proxy := servertest.NewProxy(t, servertest.StartGCS(t, nil))
	b := open(t, fresh(proxy.Server))
	lose := servertest.Fault{Lose: true}

	proxy.Rule(times(1, http.MethodPost, lose))
	_, err := b.Put(t.Context(), "lease", strings.NewReader("first"), bucket.IfAbsent())
	if bucket.CodeOf(err) != bucket.CodeUnavailable || len(proxy.Requests()) != 1 {
		t.Fatalf("the first answer was lost: %v after %q", err, proxy.Requests())
	}
	content, first := read(t, b, "lease")
	if content != "first" {
		t.Fatalf("read back %q", content)
	}

	proxy.Rule(times(1, http.MethodPost, lose))
	_, err = b.Put(t.Context(), "lease", strings.NewReader("second"), bucket.IfVersion(first.Version))
	if bucket.CodeOf(err) != bucket.CodeUnavailable || len(proxy.Requests()) != 1 {
		t.Fatalf("the second answer was lost: %v after %q", err, proxy.Requests())
	}
	if content, _ := read(t, b, "lease"); content != "second" {
		t.Fatalf("read back %q", content)
	}

	proxy.Rule(times(1, http.MethodPost, lose))
	if _, err := b.Put(t.Context(), "log", strings.NewReader("lines"), bucket.Condition{}); err != nil || len(proxy.Requests()) != 2 {
		t.Fatalf("an unconditional write is repeated: %v after %q", err, proxy.Requests())
	}
	proxy.Rule(times(1, http.MethodDelete, lose))
	if err := b.Delete(t.Context(), "log"); err != nil {
		t.Errorf("a deletion whose answer was lost: %v", err)
	}
}

// TestBusy: what a busy store refused is sent again; a refusal that may have
// come from something before the store is not, for a conditional write.
func TestBusy(t *testing.T) {
	proxy := servertest.NewProxy(t, servertest.StartGCS(t, nil))
	b := open(t, fresh(proxy.Server))
	busy := servertest.Fault{Status: http.StatusTooManyRequests}
	unknown := servertest.Fault{Status: http.StatusServiceUnavailable}

	proxy.Rule(times(2, http.MethodPost, busy))
	if _, err := b.Put(t.Context(), "a", strings.NewReader("x"), bucket.IfAbsent()); err != nil {
		t.Errorf("429 twice: %v", err)
	}
	proxy.Rule(times(100, http.MethodPost, busy))
	if _, err := b.Put(t.Context(), "b", strings.NewReader("x"), bucket.IfAbsent()); bucket.CodeOf(err) != bucket.CodeUnavailable {
		t.Errorf("429 without end: %v", err)
	}
	proxy.Rule(times(1, http.MethodPost, unknown))
	if _, err := b.Put(t.Context(), "b", strings.NewReader("x"), bucket.IfAbsent()); bucket.CodeOf(err) != bucket.CodeUnavailable || len(proxy.Requests()) != 1 {
		t.Errorf("503: %v after %q", err, proxy.Requests())
	}
	proxy.Rule(times(1, http.MethodGet, unknown))
	if content, _ := read(t, b, "a"); content != "x" {
		t.Errorf("a read after 503 gives %q", content)
	}
}

// TestCutAnswer: a read goes on where it was cut off, and fails when it is cut
// off for good.
func TestCutAnswer(t *testing.T) {
	proxy := servertest.NewProxy(t, servertest.StartGCS(t, nil))
	b := open(t, fresh(proxy.Server))
	const size = 1 << 20
	if _, err := b.Put(t.Context(), "chunk", strings.NewReader(strings.Repeat("x", size)), bucket.Condition{}); err != nil {
		t.Fatal(err)
	}
	cut := servertest.Fault{CutAfter: 300_000}
	proxy.Rule(times(1, http.MethodGet, cut))
	if content, _ := read(t, b, "chunk"); content != strings.Repeat("x", size) {
		t.Errorf("read %d bytes", len(content))
	}
	proxy.Rule(func(r *http.Request) servertest.Fault {
		if r.Header.Get("Range") == "" {
			return cut
		}
		return servertest.Fault{Status: http.StatusServiceUnavailable}
	})
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

// brokenBody fails in its middle the second time that it is read.
type brokenBody struct {
	content *strings.Reader
	rewound bool
}

var errBody = errors.New("the body is broken")

func (b *brokenBody) Seek(offset int64, whence int) (int64, error) {
	b.rewound = b.rewound || whence == io.SeekStart
	return b.content.Seek(offset, whence)
}

func (b *brokenBody) Read(p []byte) (int, error) {
	if b.rewound && b.content.Len() < int(b.content.Size())/2 {
		return 0, errBody
	}
	return b.content.Read(p[:min(len(p), 1000)])
}

// TestBrokenBody: a part is never stored for the whole.
func TestBrokenBody(t *testing.T) {
	b := open(t, fresh(servertest.StartGCS(t, nil)))
	_, err := b.Put(t.Context(), "key", &brokenBody{content: strings.NewReader(strings.Repeat("x", 100_000))}, bucket.Condition{})
	if !errors.Is(err, errBody) {
		t.Errorf("Put: %v", err)
	}
	for o := range b.List(t.Context(), "", "") {
		t.Errorf("there is %+v", o)
	}
}

// TestDelay: a call ends with its context, whatever the store does.
func TestDelay(t *testing.T) {
	proxy := servertest.NewProxy(t, servertest.StartGCS(t, nil))
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
}

// ignoring is a rule for a store that overlooks a parameter.
func ignoring(parameter, value string) func(*http.Request) servertest.Fault {
	return func(r *http.Request) servertest.Fault {
		query := r.URL.Query()
		if given := query.Get(parameter); r.Method == http.MethodPost && given != "" && (value == "" && given != "0" || given == value) {
			query.Del(parameter)
			r.URL.RawQuery = query.Encode()
		}
		return servertest.Fault{}
	}
}

// TestIgnoredConditions: a store that overlooks either precondition is refused,
// by name.
func TestIgnoredConditions(t *testing.T) {
	proxy := servertest.NewProxy(t, servertest.StartGCS(t, nil))
	for value, want := range map[string]string{"0": "create-if-absent", "": "compare-and-swap"} {
		b := open(t, fresh(proxy.Server))
		proxy.Rule(ignoring("ifGenerationMatch", value))
		_, err := bucket.Identify(t.Context(), b)
		if !errors.Is(err, bucket.ErrUnsupported) || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), b.Describe().URL) {
			t.Errorf("without %s: %v", want, err)
		}
	}
}

func TestMissingBucket(t *testing.T) {
	server := servertest.StartGCS(t, nil)
	_, err := bucket.Identify(t.Context(), open(t, server.URLOf("no-such-bucket", "prefix")))
	if !errors.Is(err, bucket.ErrNotFound) || !strings.Contains(err.Error(), "there is no bucket no-such-bucket") {
		t.Errorf("a bucket that is not there: %v", err)
	}
}

// TestPages lists more objects than a page holds.
func TestPages(t *testing.T) {
	b := open(t, fresh(servertest.StartGCS(t, nil)))
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
	for _, from := range []int{-1, 100, objects - 2} {
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
