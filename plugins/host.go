package plugins

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/spotrelay/spotrelay/providers"
)

// maxRestartDelay bounds the doubling of Options.RestartDelay.
const maxRestartDelay = 5 * time.Second

// closePatience is how long a plugin may take to end when asked to.
const closePatience = 2 * time.Second

// host keeps one plugin alive: it starts its process when it is wanted and
// counts its crashes.
type host struct {
	source  source
	options Options
	log     *slog.Logger

	starting chan struct{} // holds a token while somebody starts the process

	mu      sync.Mutex
	live    *session    // nil when there is no process
	crashes []time.Time // within the crash window, oldest first
	last    string      // what the last crash left to say
	closed  bool
	done    chan struct{} // closed with closed
}

func newHost(source source, options Options) *host {
	return &host{
		source: source, options: options,
		log:      options.Log.With("plugin", source.name),
		starting: make(chan struct{}, 1),
		done:     make(chan struct{}),
	}
}

// session is the plugin's process, started now if there is none. Errors are
// *providers.Error, or ctx's.
func (h *host) session(ctx context.Context) (*session, error) {
	if s := h.alive(); s != nil {
		return s, nil
	}
	select {
	case h.starting <- struct{}{}:
		defer func() { <-h.starting }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if s := h.alive(); s != nil { // somebody else's start
		return s, nil
	}
	if err := h.pause(ctx); err != nil {
		return nil, err
	}
	s, err := startSession(h.source, h.log, h.options.StartTimeout)
	if err != nil {
		h.failed(err)
		return nil, err
	}
	if !h.adopt(s) {
		s.kill()
		return nil, errClosed(h.source.name)
	}
	h.log.Debug("plugin started", "file", h.source.file, "pid", s.process.ID())
	return s, nil
}

// adopt makes s the live session, unless the host was closed meanwhile.
func (h *host) adopt(s *session) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.closed {
		h.live = s
	}
	return !h.closed
}

// failed counts a start that failed as a crash if another one may go better.
func (h *host) failed(err error) {
	var e *providers.Error
	if !errors.Is(err, errStillborn) || !errors.As(err, &e) {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.crashed(e.Hint)
}

// alive is the running session, or nil. One that died meanwhile is counted.
func (h *host) alive() *session {
	h.mu.Lock()
	s := h.live
	h.mu.Unlock()
	if s != nil && s.process.gone() {
		h.lose(s, "it exited")
		return nil
	}
	return s
}

// lose ends a session that is of no more use, and counts it as a crash once.
func (h *host) lose(s *session, why string) {
	h.mu.Lock()
	lost := h.live == s && !h.closed
	if h.live == s {
		h.live = nil
	}
	h.mu.Unlock()
	s.kill()
	if !lost {
		return
	}
	h.log.Warn("plugin lost", "why", why, "pid", s.process.ID(), "exit", s.process.end())
	h.mu.Lock()
	defer h.mu.Unlock()
	h.crashed(s.process.tail.hint())
}

// crashed counts a crash; h.mu is held.
func (h *host) crashed(lastWords string) {
	h.crashes = append(h.crashes, time.Now())
	h.last = lastWords
}

// pause waits before a restart, longer with each crash, and refuses it when
// there were too many.
func (h *host) pause(ctx context.Context) error {
	wait, err := h.restartDelay(time.Now())
	if err != nil || wait <= 0 {
		return err
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-h.done:
		return errClosed(h.source.name)
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (h *host) restartDelay(now time.Time) (time.Duration, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return 0, errClosed(h.source.name)
	}
	for len(h.crashes) > 0 && now.Sub(h.crashes[0]) >= h.options.CrashWindow {
		h.crashes = h.crashes[1:]
	}
	n := len(h.crashes)
	if n == 0 {
		return 0, nil
	}
	if n >= h.options.CrashLimit {
		after := h.options.CrashWindow - now.Sub(h.crashes[0])
		return 0, &providers.Error{
			Code: providers.CodeUnavailable, Op: "start",
			Message: fmt.Sprintf("plugin %s (%s) crashed %d times within %s; it is started again in %s",
				h.source.name, h.source.file, n, h.options.CrashWindow, after.Round(time.Millisecond)),
			Hint:  h.last,
			After: after,
		}
	}
	delay := min(h.options.RestartDelay<<(n-1), maxRestartDelay)
	return h.crashes[n-1].Add(delay).Sub(now), nil
}

// close ends the process for good.
func (h *host) close() {
	h.mu.Lock()
	s := h.live
	h.live = nil
	if !h.closed {
		h.closed = true
		close(h.done)
	}
	h.mu.Unlock()
	if s != nil {
		s.close(closePatience)
	}
	// A start that is under way sees closed and ends what it started.
}
