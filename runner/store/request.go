package store

import (
	"context"
	"crypto/rand"
	"strings"
	"time"

	"github.com/spotrelay/spotrelay/checkpointing/bucket"
	"github.com/spotrelay/spotrelay/runner/job"
	"github.com/spotrelay/spotrelay/runner/plan"
)

// StoredRequest is what a user asked of a run, under the key it lies at.
type StoredRequest struct {
	Key     string
	Request plan.Request
}

type requestDocument struct {
	Version int              `json:"version"`
	Kind    plan.RequestKind `json:"kind"`
	By      string           `json:"by,omitempty"`
	Task    string           `json:"task,omitempty"`
	Index   *int             `json:"index,omitempty"` // nil: all of the task
	Written time.Time        `json:"written"`         // the user's clock, for people
}

// PutRequest asks something of a run; its controller, or the next one, takes
// it up and removes it. The result is the request's key. Repeating it asks
// again.
func PutRequest(ctx context.Context, b bucket.Bucket, run string, request plan.Request) (string, error) {
	document := requestDocument{
		Version: job.SpecVersion, Kind: request.Kind, By: request.By, Task: request.Task, Written: time.Now().UTC(),
	}
	if request.Task != "" && request.Index >= 0 {
		document.Index = &request.Index
	}
	data, err := encode(document)
	if err != nil {
		return "", err
	}
	key := RequestKey(run, string(request.Kind), strings.ToLower(rand.Text()))
	_, err = writeObject(ctx, b, key, data, bucket.Condition{})
	return key, err
}

func (d requestDocument) request() plan.Request {
	r := plan.Request{Kind: d.Kind, By: d.By, Task: d.Task}
	switch {
	case d.Index != nil:
		r.Index = *d.Index
	case d.Task != "":
		r.Index = -1
	}
	return r
}

// ListRequests reads the requests that lie there. One that cannot be read is
// in faults and stays. May be repeated.
func ListRequests(ctx context.Context, b bucket.Bucket, run string) (requests []StoredRequest, faults []error, err error) {
	for object, err := range b.List(ctx, RequestsPrefix(run), "") {
		if err != nil {
			return requests, faults, err
		}
		document, _, err := read[requestDocument](ctx, b, object.Key)
		switch {
		case isCorruptOrUnknown(err):
			faults = append(faults, err)
		case bucket.CodeOf(err) == bucket.CodeNotFound: // taken up just now
		case err != nil:
			return requests, faults, err
		default:
			requests = append(requests, StoredRequest{object.Key, document.request()})
		}
	}
	return requests, faults, nil
}
