package computetest

import (
	"net/http"
	"time"
)

// rateLimit is a token bucket of one method.
type rateLimit struct {
	perSecond float64
	burst     float64
	status    int
	left      float64
	at        time.Time
	refused   int
}

// Limit bounds the rate of a method: burst calls at once, and perSecond more
// each second. Calls beyond are refused with rateLimitExceeded and status, 403,
// which Compute mostly uses, or 429.
func (s *Server) Limit(method string, perSecond, burst float64, status int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.limits[method] = &rateLimit{perSecond: perSecond, burst: burst, status: status, left: burst, at: s.clock.Now()}
}

// Throttled is how many calls of a method were refused by its Limit.
func (s *Server) Throttled(method string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if limit := s.limits[method]; limit != nil {
		return limit.refused
	}
	return 0
}

func (s *Server) throttle(r *request) *apiError {
	limit := s.limits[r.method.ID]
	if limit == nil {
		return nil
	}
	now := s.clock.Now()
	limit.left = min(limit.burst, limit.left+limit.perSecond*now.Sub(limit.at).Seconds())
	limit.at = now
	if limit.left >= 1 {
		limit.left--
		return nil
	}
	limit.refused++
	status := limit.status
	if status == 0 {
		status = http.StatusForbidden
	}
	return &apiError{
		status: status, reason: "rateLimitExceeded", domain: "usageLimits",
		message: "Quota exceeded for quota metric 'Queries' and limit 'Queries per minute' of service 'compute.googleapis.com' for consumer 'project_number:1'.",
	}
}
