package computetest

import (
	"bytes"
	"net/url"
	"regexp"
	"slices"
	"time"
)

// knownRequest is a request id that was seen.
type knownRequest struct {
	method, path string
	query        url.Values
	body         []byte
	at           time.Time
	operation    *operation
}

var uuid = regexp.MustCompile(`^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$`)

const zeroUUID = "00000000-0000-0000-0000-000000000000"

// once does what a request asks for, or answers with the operation of the
// request that had its request id before. An id used with another request is
// refused.
func (s *Server) once(r *request, do func() (*operation, *apiError)) (object, *apiError) {
	id := r.query.Get("requestId")
	if id != "" && (!uuid.MatchString(id) || id == zeroUUID) {
		return nil, invalid("requestId", id, "The request ID must be a valid UUID, and not the zero UUID.")
	}
	known := s.requests[id]
	if known != nil && s.clock.Now().Sub(known.at) >= s.options.RequestLife {
		known = nil
	}
	if id != "" && known != nil {
		if known.method != r.method.ID || known.path != s.pathOf(r) || !bytes.Equal(known.body, r.raw) || !sameQuery(known.query, r.query) {
			failure := invalid("requestId", id, "The request ID was used with a request that had other parameters.")
			failure.broke = false // a client may have reason to try
			return nil, failure
		}
		return s.operationJSON(known.operation), nil
	}
	op, failure := do()
	if failure != nil {
		return nil, failure
	}
	if id != "" {
		s.requests[id] = &knownRequest{r.method.ID, s.pathOf(r), r.query, r.raw, s.clock.Now(), op}
	}
	return s.operationJSON(op), nil
}

func sameQuery(a, b url.Values) bool {
	if len(a) != len(b) {
		return false
	}
	for name, values := range a {
		if !slices.Equal(values, b[name]) {
			return false
		}
	}
	return true
}
