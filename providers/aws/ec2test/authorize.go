package ec2test

import (
	"time"

	"golang.org/x/time/rate"

	"github.com/spotrelay/spotrelay/providers/aws/ec2test/model"
)

// bucket is the token bucket of an operation.
type bucket struct{ limiter *rate.Limiter }

// Throttle lets an operation be called so often at once, and refilled so often
// a second; "*" is every operation that has no bucket of its own. EC2's own
// figures are in its API reference, "Request throttling".
func (s *Server) Throttle(operation string, burst int, perSecond float64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.limits[operation] = &bucket{rate.NewLimiter(rate.Limit(perSecond), burst)}
}

func (s *Server) throttle(service *model.Service, operation string) *apiError {
	s.mu.Lock()
	defer s.mu.Unlock()
	limit := s.limits[operation]
	if limit == nil {
		limit = s.limits["*"]
	}
	if limit == nil || limit.limiter.AllowN(s.clock.now(), 1) {
		return nil
	}
	if service.Metadata.Protocol == "json" {
		return refuse("ThrottlingException", "Rate exceeded")
	}
	return refuse("RequestLimitExceeded", "Request limit exceeded.")
}

// Deny takes the permission for actions away ("ec2:CreateFleet"), Allow gives it
// back.
func (s *Server) Deny(actions ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, action := range actions {
		s.denied[action] = true
	}
}

// Allow gives permissions back.
func (s *Server) Allow(actions ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, action := range actions {
		delete(s.denied, action)
	}
}

// authorize looks an action up in what is denied.
func (s *Server) authorize(service *model.Service, name, operation string) *apiError {
	action := name + ":" + operation
	if !s.denied[action] {
		return nil
	}
	switch {
	case name == "ec2":
		return unauthorized(action)
	case service.Metadata.Protocol == "json":
		return refuse("AccessDeniedException", "User: %s is not authorized to perform: %s", callerARN, action)
	}
	return refuse("AccessDenied", "User: %s is not authorized to perform: %s", callerARN, action)
}

const callerARN = "arn:aws:iam::" + Account + ":user/relay"

func unauthorized(action string) *apiError {
	return refuse("UnauthorizedOperation", "You are not authorized to perform this operation. User: %s is not authorized to perform: %s because no identity-based policy allows the action", callerARN, action)
}

// Advance moves the server's time on.
func (s *Server) Advance(d time.Duration) {
	s.clock.advance(d)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.settle()
}
