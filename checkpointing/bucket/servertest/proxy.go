package servertest

import (
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

// Fault is what a Proxy does with a request.
type Fault struct {
	// Status answers with it and Body in place of the server, which never
	// sees the request.
	Status int
	Body   string
	Header http.Header // of that answer
	// Lose lets the server do it and closes the connection in place of the
	// answer.
	Lose bool
	// CutAfter passes so many bytes of the answer's body on and closes the
	// connection; 0 passes all.
	CutAfter int64
	// Strip removes headers of the request, as a store that does not know them
	// would; for S3, which has them signed, it is signed anew.
	Strip []string
	// Wait is waited for before anything is done.
	Wait <-chan struct{}
}

// Proxy stands before a server and does what Rule says.
type Proxy struct {
	*Server
	mu       sync.Mutex
	rule     func(*http.Request) Fault
	requests []string
}

// NewProxy starts a proxy for server.
func NewProxy(t *testing.T, server *Server) *Proxy {
	t.Helper()
	target, err := url.Parse(server.Endpoint)
	if err != nil {
		t.Fatal(err)
	}
	p := &Proxy{}
	forward := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(target)
			r.Out.Host = r.In.Host // it is signed
		},
		// What the server cuts off is cut off here, and no answer made up.
		ErrorHandler: func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) },
	}
	listening := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { p.serve(w, r, forward) }))
	t.Cleanup(listening.Close)
	p.Server = &Server{Endpoint: listening.URL, store: server.store}
	return p
}

// Rule sets what is done with each request from now on; nil passes all. It is
// called from several goroutines. It also forgets the requests so far.
func (p *Proxy) Rule(rule func(*http.Request) Fault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.rule, p.requests = rule, nil
}

// Requests is method and path of each request since Rule was called.
func (p *Proxy) Requests() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]string(nil), p.requests...)
}

func (p *Proxy) serve(w http.ResponseWriter, r *http.Request, forward http.Handler) {
	p.mu.Lock()
	rule := p.rule
	p.requests = append(p.requests, r.Method+" "+r.URL.Path)
	p.mu.Unlock()
	var fault Fault
	if rule != nil {
		fault = rule(r)
	}
	if fault.Wait != nil {
		select {
		case <-fault.Wait:
		case <-r.Context().Done():
			return
		}
	}
	if len(fault.Strip) > 0 {
		if err := p.strip(r, fault.Strip); err != nil {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
	}
	switch {
	case fault.Status != 0:
		for name, values := range fault.Header {
			w.Header()[name] = values
		}
		w.WriteHeader(fault.Status)
		_, _ = w.Write([]byte(fault.Body)) // a client that has gone needs no answer
	case fault.Lose:
		forward.ServeHTTP(httptest.NewRecorder(), r)
		panic(http.ErrAbortHandler)
	case fault.CutAfter > 0:
		forward.ServeHTTP(&cutting{ResponseWriter: w, left: fault.CutAfter}, r)
		panic(http.ErrAbortHandler)
	default:
		forward.ServeHTTP(w, r)
	}
}

func (p *Proxy) strip(r *http.Request, names []string) error {
	for _, name := range names {
		r.Header.Del(name)
	}
	if p.store != "s3" {
		return nil
	}
	r.Header.Del("Authorization")
	r.URL.Host = r.Host
	signer := v4.NewSigner(func(o *v4.SignerOptions) { o.DisableURIPathEscaping = true })
	credentials := aws.Credentials{AccessKeyID: AccessKey, SecretAccessKey: SecretKey}
	return signer.SignHTTP(r.Context(), credentials, r, r.Header.Get("X-Amz-Content-Sha256"), "s3", "us-east-1", time.Now())
}

// cutting passes the beginning of an answer on.
type cutting struct {
	http.ResponseWriter
	left int64
}

func (c *cutting) Write(p []byte) (int, error) {
	n := min(int64(len(p)), c.left)
	c.left -= n
	if _, err := c.ResponseWriter.Write(p[:n]); err != nil {
		return 0, err
	}
	if c.left == 0 {
		if flusher, ok := c.ResponseWriter.(http.Flusher); ok {
			flusher.Flush()
		}
	}
	return len(p), nil
}
