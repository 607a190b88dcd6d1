package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"sync"
	"sync/atomic"
	"time"
)

// traffic is what went to the server and back.
type traffic struct {
	Requests int64 `json:"requests"`
	Uploads  int64 `json:"uploads"` // PUT and POST
	Reads    int64 `json:"reads"`   // GET of an object or a listing
	Sent     int64 `json:"bytes_sent"`
	Received int64 `json:"bytes_received"`
}

// plausible tells whether what a tool stored or restored can have come this
// way: otherwise it went around the proxy, and the count says nothing.
func (t *traffic) plausible(step string, grown int64, w workload) error {
	if t.Requests == 0 {
		return errors.New("no request came through the counting proxy")
	}
	if step == saving && t.Sent < grown {
		return fmt.Errorf("%d bytes were stored and %d came through the counting proxy", grown, t.Sent)
	}
	// What is compressed is less, but not by half: the workloads are noise.
	if step == restoring && t.Received < w.Bytes/2 {
		return fmt.Errorf("%d bytes were restored and %d came through the counting proxy", w.Bytes, t.Received)
	}
	return nil
}

// proxy counts requests and the bytes of their bodies, and delays each. It
// takes processor time that belongs to nobody, so what is measured without a
// delay does not go through it.
type proxy struct {
	delay                                    atomic.Int64
	requests, uploads, reads, sent, received atomic.Int64
	server                                   *http.Server
}

// serveProxy is the process of a proxy before the server at target: it says
// where it listens, and then for each delay that it is told what was counted
// since the one before, until its input ends.
func serveProxy(ctx context.Context, target, certFile, keyFile, caFile string, in io.Reader, out io.Writer) error {
	certificate, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		return err
	}
	client, err := trusting(caFile)
	if err != nil {
		return err
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	to, err := url.Parse(target)
	if err != nil {
		return err
	}
	p := newProxy(to, certificate, client)
	go func() { _ = p.server.ServeTLS(listener, "", "") }() // until the process ends
	say, told := json.NewEncoder(out), json.NewDecoder(in)
	if err := say.Encode("https://" + listener.Addr().String()); err != nil {
		return err
	}
	for {
		var delay time.Duration
		if err := told.Decode(&delay); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		if err := say.Encode(p.take(delay)); err != nil {
			return err
		}
	}
}

func newProxy(target *url.URL, certificate tls.Certificate, client *http.Transport) *proxy {
	p := &proxy{}
	silent := log.New(io.Discard, "", 0) // a client that hangs up is its own business
	forward := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(target)
			r.Out.Host = r.In.Host     // it is signed
			r.Out.Header.Del("Expect") // it has been answered here
		},
		Transport: client, BufferPool: &buffers{}, ErrorLog: silent,
	}
	p.server = &http.Server{
		Handler:           http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { p.serve(w, r, forward) }),
		TLSConfig:         &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12},
		TLSNextProto:      map[string]func(*http.Server, *tls.Conn, http.Handler){}, // HTTP/1.1, as the server has it
		ReadHeaderTimeout: time.Minute, ErrorLog: silent,
	}
	return p
}

func (p *proxy) serve(w http.ResponseWriter, r *http.Request, forward http.Handler) {
	p.requests.Add(1)
	switch r.Method {
	case http.MethodPut, http.MethodPost:
		p.uploads.Add(1)
	case http.MethodGet:
		p.reads.Add(1)
	}
	if delay := time.Duration(p.delay.Load()); delay > 0 {
		timer := time.NewTimer(delay)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-r.Context().Done():
			return
		}
	}
	if r.ContentLength != 0 { // a body that is only counted would be sent in chunks
		r.Body = &countedBody{r.Body, &p.sent}
	}
	forward.ServeHTTP(&countedAnswer{w, &p.received}, r)
}

// take is what was counted, and begins anew, with a delay for each request from
// now on.
func (p *proxy) take(delay time.Duration) traffic {
	p.delay.Store(int64(delay))
	return traffic{p.requests.Swap(0), p.uploads.Swap(0), p.reads.Swap(0), p.sent.Swap(0), p.received.Swap(0)}
}

type countedBody struct {
	io.ReadCloser
	n *atomic.Int64
}

func (b *countedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.n.Add(int64(n))
	return n, err
}

type countedAnswer struct {
	http.ResponseWriter
	n *atomic.Int64
}

func (a *countedAnswer) Write(p []byte) (int, error) {
	n, err := a.ResponseWriter.Write(p)
	a.n.Add(int64(n))
	return n, err
}

// Unwrap lets the proxy flush.
func (a *countedAnswer) Unwrap() http.ResponseWriter { return a.ResponseWriter }

// buffers lends copies their memory.
type buffers struct{ pool sync.Pool }

// Get lends a buffer.
func (b *buffers) Get() []byte {
	if p, ok := b.pool.Get().(*[]byte); ok {
		return *p
	}
	return make([]byte, 128*kib)
}

// Put takes it back.
func (b *buffers) Put(p []byte) { b.pool.Put(&p) }
