package ec2test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"

	"github.com/spotrelay/spotrelay/providers/aws/ec2test/model"
)

// page cuts the part of all that a request asks for, and gives the token of
// the next one. MaxResults is bounded; 0 in a bound is none.
func page[V any](all []V, input model.Values, least, most int) ([]V, any, *apiError) {
	size := most
	if input.Has("MaxResults") {
		size = input.Int("MaxResults")
		if size < max(1, least) || most > 0 && size > most {
			return nil, nil, violate("InvalidParameterValue", "Value ( %d ) for parameter maxResults is invalid. Expecting a value between %d and %d.", size, max(1, least), most)
		}
	}
	start := 0
	if token := input.String("NextToken"); token != "" {
		text, err := base64.RawURLEncoding.DecodeString(token)
		var digest string
		if err == nil {
			_, err = fmt.Sscanf(string(text), "%d %s", &start, &digest)
		}
		if err != nil || start > len(all) {
			return nil, nil, violate("InvalidParameterValue", "Unable to parse pagination token")
		}
		if digest != queryDigest(input) {
			return nil, nil, violate("InvalidParameterValue", "The pagination token is for another query")
		}
	}
	rest := all[start:]
	if size == 0 || len(rest) <= size {
		return rest, nil, nil
	}
	next := fmt.Sprintf("%d %s", start+size, queryDigest(input))
	return rest[:size], base64.RawURLEncoding.EncodeToString([]byte(next)), nil
}

// queryDigest tells queries apart: all of a request but where in the answer it
// is.
func queryDigest(input model.Values) string {
	query := maps.Clone(input)
	delete(query, "NextToken")
	return fingerprint(query)[:16]
}

// fingerprint of a request's content.
func fingerprint(input model.Values) string {
	data, err := json.Marshal(input) // sorts the members
	if err != nil {
		panic("ec2test: a request that was read is not JSON: " + err.Error())
	}
	sum := sha256.Sum256(data)
	return base64.RawURLEncoding.EncodeToString(sum[:])
}
