package main

import (
	"context"
	"crypto/tls"
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

// proxy counts requests and the bytes of their bodies, and delays each. It
// takes processor time that belongs to nobody, so what is measured without a
// delay does not go through it.
type proxy struct {
	Endpoint                                 string
	delay                                    atomic.Int64
	requests, uploads, reads, sent, received atomic.Int64
	server                                   *http.Server
}

// startProxy starts one before s.
func startProxy(ctx context.Context, s *server) (*proxy, error) {
	target, err := url.Parse(s.Endpoint)
	if err != nil {
		return nil, err
	}
	certificate, err := tls.LoadX509KeyPair(s.Authority.CertFile, s.Authority.KeyFile)
	if err != nil {
		return nil, err
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &proxy{Endpoint: "https://" + listener.Addr().String()}
	silent := log.New(io.Discard, "", 0) // a client that hangs up is its own business
	forward := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(target)
			r.Out.Host = r.In.Host     // it is signed
			r.Out.Header.Del("Expect") // it has been answered here
		},
		Transport: s.client, BufferPool: &buffers{}, ErrorLog: silent,
	}
	p.server = &http.Server{
		Handler:           http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { p.serve(w, r, forward) }),
		TLSConfig:         &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12},
		TLSNextProto:      map[string]func(*http.Server, *tls.Conn, http.Handler){}, // HTTP/1.1, as the server has it
		ReadHeaderTimeout: time.Minute, ErrorLog: silent,
	}
	go func() { _ = p.server.ServeTLS(listener, "", "") }() // until Stop
	return p, nil
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

// Reset begins the count anew, with a delay for each request from now on.
func (p *proxy) Reset(delay time.Duration) {
	p.delay.Store(int64(delay))
	for _, n := range []*atomic.Int64{&p.requests, &p.uploads, &p.reads, &p.sent, &p.received} {
		n.Store(0)
	}
}

// Traffic is what was counted since Reset.
func (p *proxy) Traffic() *traffic {
	return &traffic{p.requests.Load(), p.uploads.Load(), p.reads.Load(), p.sent.Load(), p.received.Load()}
}

// Stop ends the proxy and its connections.
func (p *proxy) Stop() { _ = p.server.Close() } // nothing is lost by it

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

// buffers lends copies their memory, since this process is to stay small.
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
