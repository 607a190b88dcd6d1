package notice

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spotrelay/spotrelay/providers"
)

const (
	// maxBody bounds an answer, in bytes.
	maxBody = 64 << 10
	// askTimeout bounds a plain request, hangTimeout a hanging one.
	askTimeout  = 5 * time.Second
	hangTimeout = 10 * time.Minute
)

// errNothingNew: a hanging GET came to its own end without news.
var errNothingNew = errors.New("nothing new")

// StatusError is an answer whose status code means neither a notice nor its
// absence.
type StatusError struct {
	URL  string
	Code int
}

func (e *StatusError) Error() string {
	return fmt.Sprintf("%s answered %d %s", e.URL, e.Code, http.StatusText(e.Code))
}

// client speaks with the metadata service: no proxy, no redirects, bounded
// answers, and the token that some clouds want.
type client struct {
	http     *http.Client
	metadata string
	request  *providers.TokenRequest

	mu      sync.Mutex
	token   string
	fetched time.Time
}

func newClient(metadata string, token *providers.TokenRequest) *client {
	return &client{
		metadata: strings.TrimSuffix(metadata, "/"),
		request:  token,
		http: &http.Client{
			Transport: &http.Transport{
				DialContext:            (&net.Dialer{Timeout: 2 * time.Second, KeepAlive: 15 * time.Second}).DialContext,
				MaxIdleConnsPerHost:    8,
				ResponseHeaderTimeout:  hangTimeout,
				MaxResponseHeaderBytes: maxBody,
			},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
}

func (c *client) close() { c.http.CloseIdleConnections() }

// answer is what a source said.
type answer struct {
	absent bool
	body   []byte
	etag   string
}

// get asks a source; with hang it waits for a change from etag.
func (c *client) get(ctx context.Context, source providers.NoticeSource, etag string, hang bool) (answer, error) {
	address := c.address(source.URL)
	timeout := askTimeout
	if hang {
		address += strings.ReplaceAll(source.HangQuery, "{etag}", etag)
		timeout = hangTimeout
	}
	bounded, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	got, code, err := c.try(bounded, source, address)
	if err == nil && code == http.StatusUnauthorized && c.request != nil && !slices.Contains(source.Absent, code) {
		c.forget()
		got, code, err = c.try(bounded, source, address)
	}
	switch {
	case err != nil && hang && ctx.Err() == nil && errors.Is(err, context.DeadlineExceeded):
		return answer{}, errNothingNew
	case err != nil:
		return answer{}, err
	case slices.Contains(source.Absent, code):
		got.absent = true
		return got, nil
	case code != http.StatusOK:
		return answer{}, &StatusError{URL: address, Code: code}
	}
	return got, nil
}

func (c *client) try(ctx context.Context, source providers.NoticeSource, address string) (answer, int, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return answer{}, 0, err
	}
	setHeaders(request, source.Headers)
	if c.request != nil {
		token, err := c.currentToken(ctx)
		if err != nil {
			return answer{}, 0, err
		}
		request.Header.Set(c.request.Header, token)
	}
	return c.do(request)
}

func (c *client) do(request *http.Request) (answer, int, error) {
	response, err := c.http.Do(request)
	if err != nil {
		return answer{}, 0, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxBody+1))
	if err != nil {
		return answer{}, 0, err
	}
	if len(body) > maxBody {
		return answer{}, 0, fmt.Errorf("%s answered with more than %d bytes", request.URL, maxBody)
	}
	return answer{body: body, etag: response.Header.Get("ETag")}, response.StatusCode, nil
}

// currentToken is the token, fetched anew when a quarter of its life is left.
func (c *client) currentToken(ctx context.Context) (string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.token != "" && (c.request.Life <= 0 || time.Since(c.fetched) < c.request.Life*3/4) {
		return c.token, nil
	}
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	method := c.request.Method
	if method == "" {
		method = http.MethodPut
	}
	request, err := http.NewRequestWithContext(ctx, method, c.address(c.request.URL), nil)
	if err != nil {
		return "", err
	}
	setHeaders(request, c.request.Headers)
	got, code, err := c.do(request)
	if err != nil {
		return "", fmt.Errorf("asking for a token: %w", err)
	}
	if code != http.StatusOK {
		return "", fmt.Errorf("asking for a token: %w", &StatusError{URL: request.URL.String(), Code: code})
	}
	c.token, c.fetched = strings.TrimSpace(string(got.body)), time.Now()
	return c.token, nil
}

func (c *client) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.token = ""
}

func (c *client) address(template string) string {
	return strings.ReplaceAll(template, "{metadata}", c.metadata)
}

func setHeaders(request *http.Request, headers map[string]string) {
	for name, value := range headers {
		request.Header.Set(name, value)
	}
}
