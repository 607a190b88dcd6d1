package serve

import (
	"errors"
	"fmt"
	"time"
)

// unreadyAfter is how many beats without a good look at the bucket make a
// server unready, and stuckAfter without any look make it ill.
const (
	unreadyAfter = 5
	stuckAfter   = 20
)

// Ready is nil while the server looks at the bucket and takes runs up. May be
// called at any time.
func (s *Server) Ready() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.good.IsZero() && s.lastErr != nil:
		return fmt.Errorf("the bucket could not be looked at yet: %w", s.lastErr)
	case s.good.IsZero():
		return errors.New("the bucket was not looked at yet")
	}
	if since := time.Since(s.good); since > unreadyAfter*s.beat {
		return fmt.Errorf("the last good look at the bucket was %s ago: %w", since.Round(time.Second), s.lastErr)
	}
	return nil
}

// Healthy is nil while the server's loop goes round, whatever the bucket
// answers: when it is not, only a restart helps. May be called at any time.
func (s *Server) Healthy() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.passed.IsZero() {
		return nil // it has just begun
	}
	if since := time.Since(s.passed); since > max(stuckAfter*s.beat, 2*lookLimit(s.beat)) {
		return fmt.Errorf("the loop has not gone round for %s", since.Round(time.Second))
	}
	return nil
}

// View is what the server knew at its last look. May be called at any time.
func (s *Server) View() View {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.view
}

// lookLimit bounds one look at the bucket.
func lookLimit(beat time.Duration) time.Duration { return max(4*beat, 20*time.Second) }
