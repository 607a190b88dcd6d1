package computetest

import (
	"fmt"
	"net/http"
	"strconv"
	"time"
)

// Statuses of an operation.
const (
	operationPending = "PENDING"
	operationRunning = "RUNNING"
	operationDone    = "DONE"
)

// systemUser does what nobody asked for.
const systemUser = "system"

// operation is something that takes its time.
type operation struct {
	id       uint64
	name     string
	kind     string // operationType
	zone     string // or
	region   string
	user     string
	request  string // the request id
	group    string
	target   string // relative address
	targetID uint64
	status   string
	inserted time.Time
	started  time.Time
	ended    time.Time
	failure  *operationError
	bulk     map[string]*bulkStatus
	done     chan struct{}
	over     bool // done is closed
}

// operationError is an error inside an operation.
type operationError struct {
	code, message string
	status        int // as the operation's httpErrorStatusCode
	details       []object
}

// bulkStatus is what became of a bulkInsert in a zone.
type bulkStatus struct{ target, created, failed, deleted int }

func formatLimit(limit float64) string { return strconv.FormatFloat(limit, 'f', 1, 64) }

// newOperation starts one. effect happens when it ends, and its error is the
// operation's, unless that had one from the beginning.
func (s *Server) newOperation(op *operation, effect func() *operationError) *operation {
	now := s.clock.Now()
	op.id = s.newID()
	op.name = fmt.Sprintf("operation-%d-%d", now.UnixMilli(), op.id)
	op.status, op.inserted, op.done = operationPending, now, make(chan struct{})
	s.operations = append(s.operations, op)
	s.byName[op.name] = op
	s.after(s.options.OperationTime/3, func() {
		if op.status == operationPending { // timers of the real clock may overtake
			op.status, op.started = operationRunning, s.clock.Now()
		}
	})
	s.after(s.options.OperationTime, func() {
		if effect != nil {
			if failure := effect(); op.failure == nil {
				op.failure = failure
			}
		}
		s.finish(op)
	})
	return op
}

func (s *Server) finish(op *operation) {
	op.status, op.ended = operationDone, s.clock.Now()
	if op.started.IsZero() {
		op.started = op.ended
	}
	op.release()
}

// release lets go of those who wait.
func (op *operation) release() {
	if !op.over {
		op.over = true
		close(op.done)
	}
}

// systemOperation is one of the cloud's own, which shows what happened.
func (s *Server) systemOperation(kind string, in *instance) *operation {
	return s.newOperation(&operation{
		kind: kind, zone: in.zone.name, user: systemUser, target: in.path(), targetID: in.id,
	}, nil)
}

func (s *Server) operationJSON(op *operation) object {
	place := "global/"
	o := object{
		"kind": "compute#operation", "id": strconv.FormatUint(op.id, 10), "name": op.name,
		"operationType": op.kind, "status": op.status, "user": op.user, "progress": 0,
		"insertTime": stamp(op.inserted),
	}
	switch {
	case op.zone != "":
		place = "zones/" + op.zone + "/"
		o["zone"] = s.selfLink("zones/" + op.zone)
	case op.region != "":
		place = "regions/" + op.region + "/"
		o["region"] = s.selfLink("regions/" + op.region)
	}
	o["selfLink"] = s.selfLink(place + "operations/" + op.name)
	if op.target != "" {
		o["targetLink"] = s.selfLink(op.target)
	}
	if op.targetID != 0 {
		o["targetId"] = strconv.FormatUint(op.targetID, 10)
	}
	if op.request != "" {
		o["clientOperationId"] = op.request
	}
	if op.group != "" {
		o["operationGroupId"] = op.group
	}
	if !op.started.IsZero() {
		o["startTime"] = stamp(op.started)
	}
	if op.bulk != nil {
		o["instancesBulkInsertOperationMetadata"] = op.bulkJSON()
	}
	if op.status == operationDone {
		o["endTime"], o["progress"] = stamp(op.ended), 100
		op.addError(o)
	}
	return o
}

func (op *operation) addError(o object) {
	if op.failure == nil {
		return
	}
	e := object{"code": op.failure.code, "message": op.failure.message}
	if len(op.failure.details) > 0 {
		e["errorDetails"] = op.failure.details
	}
	status := op.failure.status
	if status == 0 {
		status = httpStatus(op.failure.code)
	}
	o["error"] = object{"errors": []object{e}}
	o["httpErrorStatusCode"], o["httpErrorMessage"] = status, http.StatusText(status)
}

// httpStatus is the status that Compute gives an operation's error.
func httpStatus(code string) int {
	switch code {
	case "QUOTA_EXCEEDED", "IAM_PERMISSION_DENIED":
		return http.StatusForbidden
	case "ZONE_RESOURCE_POOL_EXHAUSTED", "ZONE_RESOURCE_POOL_EXHAUSTED_WITH_DETAILS", "insufficientCapacity":
		return http.StatusServiceUnavailable
	case "RESOURCE_ALREADY_EXISTS":
		return http.StatusConflict
	case "VPC_NOT_FOUND", "RESOURCE_NOT_FOUND":
		return http.StatusNotFound
	}
	return http.StatusBadRequest
}

func (op *operation) bulkJSON() object {
	places := object{}
	for zone, b := range op.bulk {
		status := "CREATING"
		switch {
		case b.deleted > 0:
			status = "ROLLING_BACK"
		case op.status == operationDone:
			status = "DONE"
		}
		places["zones/"+zone] = object{
			"targetVmCount": b.target, "createdVmCount": b.created,
			"failedToCreateVmCount": b.failed, "deletedVmCount": b.deleted, "status": status,
		}
	}
	return object{"perLocationStatus": places}
}

// visible reports whether an operation can still be read.
func (s *Server) visible(op *operation) bool {
	return op.ended.IsZero() || s.clock.Now().Sub(op.ended) < s.options.OperationLife
}

func (s *Server) zoneOperations(_ *request, zone string) []object {
	return s.listOperations(func(op *operation) bool { return op.zone == zone })
}

func (s *Server) regionOperations(r *request) []object {
	return s.listOperations(func(op *operation) bool { return op.region == r.path["region"] })
}

func (s *Server) listOperations(wanted func(*operation) bool) []object {
	var all []object
	for _, op := range s.operations {
		if wanted(op) && s.visible(op) {
			all = append(all, s.operationJSON(op))
		}
	}
	return all
}

func (s *Server) findOperation(r *request) (*operation, *apiError) {
	name := r.path["operation"]
	for _, op := range s.operations {
		if (op.name == name || strconv.FormatUint(op.id, 10) == name) && op.zone == r.path["zone"] &&
			op.region == r.path["region"] && s.visible(op) {
			return op, nil
		}
	}
	return nil, notFound(s.pathOf(r))
}

func (s *Server) getOperation(r *request) (object, *apiError) {
	op, failure := s.findOperation(r)
	if failure != nil {
		return nil, failure
	}
	return s.operationJSON(op), nil
}

// waitPatience bounds a wait: "returns ... after approximately the 2 minutes
// deadline", says the reference.
const waitPatience = 2 * time.Minute

// waitOperation answers when the operation is done, or after two minutes with
// what there is. It lets go of the lock meanwhile.
func (s *Server) waitOperation(r *request) (object, *apiError) {
	op, failure := s.findOperation(r)
	if failure != nil {
		return nil, failure
	}
	late := make(chan struct{})
	stop := s.clock.AfterFunc(waitPatience, func() { close(late) })
	defer stop()
	s.mu.Unlock()
	select {
	case <-op.done:
	case <-late:
	case <-r.ctx.Done():
	}
	s.mu.Lock()
	return s.operationJSON(op), nil
}

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000-07:00") }
