package transport

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"testing"
	"testing/synctest"
	"time"
)

// TestTune: HTTP/1.1 also where the server offers more, and connections are
// used again.
func TestTune(t *testing.T) {
	from := map[string]int{}
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		from[r.RemoteAddr]++
		io.WriteString(w, r.Proto)
	}))
	server.EnableHTTP2 = true
	server.StartTLS()
	defer server.Close()
	own, ok := server.Client().Transport.(*http.Transport)
	if !ok {
		t.Fatal("httptest has another transport")
	}
	tuned := own.Clone()
	Tune(tuned)
	defer tuned.CloseIdleConnections()
	client := &http.Client{Transport: tuned}
	for range 3 {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		answer, err := client.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		proto, err := io.ReadAll(answer.Body)
		answer.Body.Close()
		if err != nil || string(proto) != "HTTP/1.1" {
			t.Errorf("the server saw %s (%v)", proto, err)
		}
	}
	if len(from) != 1 {
		t.Errorf("three requests over %d connections", len(from))
	}
}

// TestStall: a connection that stands still is given up, one that moves in
// either direction is not.
func TestStall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe()
		defer theirs.Close()
		conn := newGuarded(ours)
		defer conn.Close()
		waited := make(chan error)
		begun := time.Now()
		go func() {
			_, err := conn.Read(make([]byte, 1)) // of an answer, while the request is sent
			waited <- err
		}()
		go io.Copy(io.Discard, theirs)
		const writes = 5
		for range writes {
			wait(t.Context(), stall/2)
			if _, err := conn.Write([]byte("x")); err != nil {
				t.Error(err)
			}
		}
		if err := <-waited; !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("a connection that stands still: %v", err)
		}
		if lasted := time.Since(begun); lasted != writes*stall/2+stall {
			t.Errorf("it was given up after %v", lasted)
		}
	})
}

func wait(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
