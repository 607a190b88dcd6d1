package gcp

import (
	"net/http"
	"sync"
	"time"
)

// clock knows how far this machine's clock is ahead of Google's, by the Date of
// its answers, refusals among them.
type clock struct {
	mu    sync.Mutex
	ahead time.Duration
	known bool
}

// offset is how far this machine is ahead; false before the first answer.
func (c *clock) offset() (time.Duration, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ahead, c.known
}

func (c *clock) heard(date string) {
	told, err := http.ParseTime(date)
	if err != nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ahead, c.known = time.Since(told), true
}

// listening is a transport whose answers are heard.
type listening struct {
	http.RoundTripper
	clock *clock
}

func (l listening) RoundTrip(request *http.Request) (*http.Response, error) {
	response, err := l.RoundTripper.RoundTrip(request)
	if response != nil {
		l.clock.heard(response.Header.Get("Date"))
	}
	return response, err
}
