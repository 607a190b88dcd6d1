package transport

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
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

// TestBody: what is sent over TLS in pieces of any size arrives as it was.
func TestBody(t *testing.T) {
	arrived := make(chan []byte, 1)
	server := httptest.NewTLSServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		all, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		arrived <- all
	}))
	defer server.Close()
	own, ok := server.Client().Transport.(*http.Transport)
	if !ok {
		t.Fatal("httptest has another transport")
	}
	tuned := own.Clone()
	Tune(tuned)
	defer tuned.CloseIdleConnections()
	chance := rand.New(rand.NewPCG(1, 2))
	for _, size := range []int{0, 1, 1 << 10, together - 1, together + 1, buffer + 1, 5<<20 + 7} {
		body := make([]byte, size)
		for i := range body {
			body[i] = byte(chance.Uint32())
		}
		pieces := &inPieces{bytes.NewReader(body), chance}
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPut, server.URL, pieces)
		if err != nil {
			t.Fatal(err)
		}
		request.ContentLength = int64(size)
		answer, err := (&http.Client{Transport: tuned}).Do(request)
		if err != nil {
			t.Fatalf("%d bytes: %v", size, err)
		}
		answer.Body.Close()
		if got := <-arrived; !bytes.Equal(got, body) {
			t.Errorf("of %d bytes %d arrived, or others", size, len(got))
		}
	}
}

// inPieces reads a little or much.
type inPieces struct {
	r      io.Reader
	chance *rand.Rand
}

func (p *inPieces) Read(b []byte) (int, error) {
	return p.r.Read(b[:min(len(b), 1+p.chance.IntN(3*together))])
}

// TestCork: what is kept goes in few pieces and in order, and after a failure
// nothing more goes.
func TestCork(t *testing.T) {
	ours, theirs := net.Pipe()
	under := &writes{Conn: ours}
	conn := newGuarded(under)
	got := make(chan []byte)
	go func() {
		all, _ := io.ReadAll(theirs) // it ends with the connection
		got <- all
	}()
	var want []byte
	conn.cork()
	for i := range 10 {
		record := bytes.Repeat([]byte{byte(i)}, 16<<10+22)
		want = append(want, record...)
		if _, err := conn.Write(record); err != nil {
			t.Fatal(err)
		}
	}
	if err := conn.uncork(); err != nil {
		t.Fatal(err)
	}
	if under.calls != 3 {
		t.Errorf("ten records were sent by %d calls", under.calls)
	}
	if _, err := conn.Write([]byte("alone")); err != nil || under.calls != 4 {
		t.Errorf("uncorked: %v after %d calls", err, under.calls)
	}
	conn.Close()
	if all := <-got; !bytes.Equal(all, append(want, "alone"...)) {
		t.Errorf("%d bytes came of %d, or others", len(all), len(want)+5)
	}
	conn.cork()
	if _, err := conn.Write([]byte("x")); err != nil {
		t.Errorf("a corked write: %v", err)
	}
	if err := conn.uncork(); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("a closed connection: %v", err)
	}
	calls := under.calls
	conn.cork()
	if _, err := conn.Write([]byte("x")); err == nil || conn.uncork() == nil || under.calls != calls {
		t.Errorf("after a failure: %v, %d calls and then %d", err, calls, under.calls)
	}
}

// writes counts.
type writes struct {
	net.Conn
	calls int
}

func (w *writes) Write(p []byte) (int, error) {
	w.calls++
	return w.Conn.Write(p)
}
