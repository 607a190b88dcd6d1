package ec2test

import (
	"time"

	"github.com/spotrelay/spotrelay/providers/aws/ec2test/model"
)

// tokenWindow is how long a client token is known.
const tokenWindow = 24 * time.Hour

const longestToken = 64

// remembered is what a client token was used for.
type remembered struct {
	request string
	answer  model.Values
	at      time.Time
}

// recall is what a request with a client token answered before, nil when it is
// new. place keeps tokens of different zones apart: they are zonal where a
// subnet or a zone is given.
func (s *Server) recall(operation, place string, input model.Values) (model.Values, *apiError) {
	token := input.String("ClientToken")
	if token == "" {
		return nil, nil
	}
	if len(token) > longestToken {
		return nil, violate("InvalidParameterValue", "The client token exceeds %d characters", longestToken)
	}
	for _, c := range token {
		if c < ' ' || c > '~' {
			return nil, violate("InvalidParameterValue", "The client token has characters that are not ASCII")
		}
	}
	known := s.tokens[operation+" "+place+" "+token]
	if known == nil || s.clock.now().Sub(known.at) > tokenWindow {
		return nil, nil
	}
	if known.request != fingerprint(input) {
		return nil, refuse("IdempotentParameterMismatch", "Arguments on this idempotent request are inconsistent with arguments used in previous request(s).")
	}
	return known.answer, nil
}

// remember what a request with a client token answered.
func (s *Server) remember(operation, place string, input, answer model.Values) {
	if token := input.String("ClientToken"); token != "" {
		s.tokens[operation+" "+place+" "+token] = &remembered{fingerprint(input), answer, s.clock.now()}
	}
}
