package main

import (
	"context"
	"errors"
	"io"
	"iter"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/spotrelay/spotrelay/checkpointing/bucket"
	"github.com/spotrelay/spotrelay/checkpointing/bucket/buckettest/memory"
	"github.com/spotrelay/spotrelay/cmd/spotrelay/internal/metrics"
	"github.com/spotrelay/spotrelay/runner/serve"
)

// unreachable is a bucket that answers nothing but its identity.
type unreachable struct{ bucket.Bucket }

func (unreachable) List(context.Context, string, string) iter.Seq2[bucket.Object, error] {
	return func(yield func(bucket.Object, error) bool) {
		yield(bucket.Object{}, &bucket.Error{Code: bucket.CodeUnavailable, Op: "list", Err: errors.New("no route to host")})
	}
}

func TestEndpoints(t *testing.T) {
	for _, test := range []struct {
		name       string
		bucket     func(bucket.Bucket) bucket.Bucket
		ready      int
		inMetrics  []string
		notMetrics string
	}{
		{"well", func(b bucket.Bucket) bucket.Bucket { return b }, http.StatusOK,
			[]string{`spotrelay_controllers 1`, `spotrelay_runs{state="live"} 0`, `spotrelay_bucket_requests_total{op="put",outcome="succeeded"}`}, `outcome="unavailable"`},
		{"without its bucket", func(b bucket.Bucket) bucket.Bucket { return unreachable{b} }, http.StatusServiceUnavailable,
			[]string{`spotrelay_bucket_requests_total{op="list",outcome="unavailable"}`, `spotrelay_looks_total{outcome="failed"}`}, `spotrelay_looks_total{outcome="succeeded"}`},
	} {
		t.Run(test.name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			b := memory.New("b")
			if _, err := bucket.Identify(ctx, b); err != nil {
				t.Fatal(err)
			}
			counted := metrics.New("v1")
			server := serve.New(serve.Options{Bucket: counted.Bucket(test.bucket(b)), Watcher: counted, Beat: 20 * time.Millisecond})
			address, err := listenFor(ctx, "127.0.0.1:0", server, counted)
			if err != nil {
				t.Fatal(err)
			}
			done := make(chan error, 1)
			go func() { done <- server.Serve(ctx) }()
			defer func() {
				cancel()
				if err := <-done; err != nil {
					t.Error(err)
				}
			}()
			soon(t, "/readyz", func() bool {
				got, _ := ask(t, "http://"+address+"/readyz")
				return got == test.ready
			})
			if got, _ := ask(t, "http://"+address+"/healthz"); got != http.StatusOK {
				t.Errorf("/healthz answers %d", got)
			}
			for _, want := range test.inMetrics {
				soon(t, want, func() bool {
					_, body := ask(t, "http://"+address+"/metrics")
					if strings.Contains(body, test.notMetrics) {
						t.Fatalf("/metrics has %s", test.notMetrics)
					}
					return strings.Contains(body, want)
				})
			}
			if got, _ := ask(t, "http://"+address+"/cancel"); got != http.StatusNotFound {
				t.Errorf("/cancel answers %d", got)
			}
		})
	}
}

// soon waits until a condition holds; the limit only bounds a hang.
func soon(t *testing.T, what string, holds func() bool) {
	t.Helper()
	limit := time.After(time.Minute)
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	for !holds() {
		select {
		case <-ticker.C:
		case <-limit:
			t.Fatalf("it does not come: %s", what)
		}
	}
}

func ask(t *testing.T, url string) (int, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, string(body)
}
