package computetest

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/spotrelay/spotrelay/providers/gcp/computetest/discovery"
)

// Server is one project of a Compute Engine. Its methods may be called at the
// same time.
type Server struct {
	// URL is the endpoint of Compute and of the billing catalogue.
	URL string

	options  Options
	clock    Clock
	compute  *discovery.Document
	billing  *discovery.Document
	http     *httptest.Server
	handlers map[string]handler

	mu         sync.Mutex
	world      *world
	next       uint64 // the next id
	instances  []*instance
	machines   int // that were started
	operations []*operation
	byName     map[string]*operation
	requests   map[string]*knownRequest
	faults     []*activeFault
	limits     map[string]*rateLimit
	capacity   map[capacityKey]int
	permitted  map[string]bool // nil: everything
	used       map[string]bool
	calls      []Call
	closed     bool
	failed     func(format string, values ...any)
	log        func(format string, values ...any)
}

// Call is a request that was made.
type Call struct {
	Method string // "compute.instances.insert"
	Zone   string // or region, where the path has one
	Status int    // of the answer; 0 for one that was cut off
	At     time.Time
}

// request is a request on its way through the server.
type request struct {
	ctx    context.Context
	method *discovery.Method
	path   map[string]string
	query  url.Values
	body   object
	raw    []byte
	user   string
}

// handler answers a request under the server's lock.
type handler func(s *Server, r *request) (object, *apiError)

// Start starts a server and ends it, with all of its processes, when the test
// is over.
func Start(t testing.TB, options Options) *Server {
	t.Helper()
	s := &Server{
		options: options.withDefaults(), next: 1000000000000000000, world: newWorld(),
		byName: map[string]*operation{}, requests: map[string]*knownRequest{},
		limits: map[string]*rateLimit{}, capacity: map[capacityKey]int{}, used: map[string]bool{},
		failed: t.Errorf, log: t.Logf, handlers: handlers(),
	}
	s.clock = s.options.Clock
	var err error
	if s.compute, err = discovery.Compute(); err != nil {
		t.Fatal(err)
	}
	if s.billing, err = discovery.Billing(); err != nil {
		t.Fatal(err)
	}
	s.http = httptest.NewServer(s)
	s.URL = s.http.URL
	t.Cleanup(s.close)
	return s
}

func (s *Server) close() {
	s.mu.Lock()
	s.closed = true
	var machines []*machine
	for _, in := range s.instances {
		in.metadata.stop()
		if in.machine != nil {
			machines = append(machines, in.machine)
		}
	}
	for _, op := range s.operations {
		op.release()
	}
	s.mu.Unlock()
	for _, m := range machines {
		m.kill()
	}
	s.http.CloseClientConnections()
	s.http.Close()
}

// after does f under the lock when d has passed, unless the server was closed.
func (s *Server) after(d time.Duration, f func()) {
	s.clock.AfterFunc(d, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if !s.closed {
			f()
		}
	})
}

func (s *Server) newID() uint64 {
	s.next += 7919
	return s.next
}

// ServeHTTP answers one request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	raw, err := io.ReadAll(io.LimitReader(r.Body, 8<<20))
	if err != nil {
		return // the client has gone
	}
	document := s.compute
	if strings.HasPrefix(r.URL.Path, "/v1/") {
		document = s.billing
	}
	method, path := document.Find(r.Method, r.URL.Path)
	if method == nil {
		s.refuse(w, r, nil, &apiError{
			status: http.StatusNotFound, reason: "notFound", broke: true,
			message: "the fake speaks no method " + r.Method + " " + r.URL.Path,
		})
		return
	}
	rq := &request{ctx: r.Context(), method: method, path: path, query: r.URL.Query(), raw: raw}
	answer, failure, cut := s.handle(r, rq)
	switch {
	case cut:
		s.record(rq, 0)
		panic(http.ErrAbortHandler) // the effect is there, the answer is not
	case failure != nil:
		s.refuse(w, r, rq, failure)
		return
	}
	data, err := json.Marshal(answer)
	if err != nil {
		s.failed("computetest: %s: %v", method.ID, err)
		return
	}
	for _, fault := range method.CheckAnswer(data) {
		s.failed("computetest: its own answer to %s is not Compute's: %v", method.ID, fault)
	}
	mask := r.Header.Get("X-Goog-FieldMask")
	if mask == "" {
		mask = rq.query.Get("fields")
	}
	if mask != "" {
		if data, err = masked(method, data, mask); err != nil {
			s.refuse(w, r, rq, invalid("X-Goog-FieldMask", mask, err.Error()))
			return
		}
	}
	s.record(rq, http.StatusOK)
	s.write(w, http.StatusOK, data)
}

// handle does what a request asks for; cut says that its answer is lost.
func (s *Server) handle(r *http.Request, rq *request) (answer object, failure *apiError, cut bool) {
	s.mu.Lock()
	user, failure := s.authenticate(r)
	s.mu.Unlock()
	if failure != nil {
		return nil, failure, false
	}
	rq.user = user
	if faults := rq.method.CheckRequest(rq.path, rq.query, rq.raw); len(faults) > 0 {
		f := faults[0]
		return nil, invalid(strings.Replace(f.Where, "body", "resource", 1), "", f.Message), false
	}
	if len(bytes.TrimSpace(rq.raw)) > 0 {
		decoder := json.NewDecoder(bytes.NewReader(rq.raw))
		decoder.UseNumber()
		if err := decoder.Decode(&rq.body); err != nil {
			return nil, badRequest("%v", err), false
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, check := range []func(*request) *apiError{s.throttle, s.permit, s.fault} {
		if failure := check(rq); failure != nil {
			return nil, failure, false
		}
	}
	handle := s.handlers[rq.method.ID]
	if handle == nil {
		return nil, &apiError{status: http.StatusNotImplemented, reason: "notImplemented", broke: true, message: "the fake does not do " + rq.method.ID}, false
	}
	answer, failure = handle(s, rq)
	return answer, failure, failure == nil && s.loses(rq)
}

// authenticate is who sends a request: whoever has any token, or an instance
// with the token of its service account.
func (s *Server) authenticate(r *http.Request) (string, *apiError) {
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok && s.options.Anonymous {
		return s.tester(), nil
	}
	if !ok || token == "" {
		return "", &apiError{status: http.StatusUnauthorized, reason: "required", broke: true, message: "Login Required."}
	}
	for _, in := range s.instances {
		if in.token() == token {
			return s.account(in), nil
		}
	}
	return s.tester(), nil
}

// tester is who sends the test's own requests.
func (s *Server) tester() string { return "tester@" + s.options.Project + ".iam.gserviceaccount.com" }

// refuse answers with an error, which fails the test when the request broke a
// rule.
func (s *Server) refuse(w http.ResponseWriter, r *http.Request, rq *request, failure *apiError) {
	if failure.broke && !s.options.TolerateFaults {
		s.failed("computetest: %s %s breaks a rule of Compute's: %s", r.Method, r.URL, failure.message)
	}
	s.record(rq, failure.status)
	data, err := json.Marshal(failure.body())
	if err != nil {
		s.failed("computetest: %v", err)
	}
	s.write(w, failure.status, data)
}

func (s *Server) write(w http.ResponseWriter, status int, data []byte) {
	w.Header().Set("Content-Type", "application/json; charset=UTF-8")
	w.WriteHeader(status)
	_, _ = w.Write(data) //nolint:gosec // JSON for programs; the client may have gone
}

func (s *Server) record(rq *request, status int) {
	if rq == nil {
		return
	}
	zone := rq.path["zone"]
	if zone == "" {
		zone = rq.path["region"]
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls = append(s.calls, Call{Method: rq.method.ID, Zone: zone, Status: status, At: s.clock.Now()})
}

// Calls are the requests made so far, in the order of their answers; with
// methods, those for these alone.
func (s *Server) Calls(methods ...string) []Call {
	s.mu.Lock()
	defer s.mu.Unlock()
	var calls []Call
	for _, call := range s.calls {
		if len(methods) == 0 || contains(methods, call.Method) {
			calls = append(calls, call)
		}
	}
	return calls
}

// ForgetCalls empties the record of calls.
func (s *Server) ForgetCalls() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls = nil
}

func contains(list []string, text string) bool {
	for _, element := range list {
		if element == text {
			return true
		}
	}
	return false
}

// Handlers, by the method's id.
func handlers() map[string]handler {
	return map[string]handler{
		"compute.acceleratorTypes.aggregatedList":    aggregated("acceleratorTypes", (*Server).acceleratorTypes),
		"compute.acceleratorTypes.list":              zonal("compute#acceleratorTypeList", (*Server).acceleratorTypes),
		"compute.acceleratorTypes.get":               one("acceleratorType", (*Server).acceleratorTypes),
		"compute.machineTypes.aggregatedList":        aggregated("machineTypes", (*Server).machineTypes),
		"compute.machineTypes.list":                  zonal("compute#machineTypeList", (*Server).machineTypes),
		"compute.machineTypes.get":                   one("machineType", (*Server).machineTypes),
		"compute.instances.aggregatedList":           aggregated("instances", (*Server).visibleInstances),
		"compute.instances.list":                     zonal("compute#instanceList", (*Server).visibleInstances),
		"compute.zoneOperations.list":                zonal("compute#operationList", (*Server).zoneOperations),
		"compute.regionOperations.list":              flat("compute#operationList", (*Server).regionOperations),
		"compute.globalOperations.aggregatedList":    aggregated("operations", (*Server).zoneOperations),
		"compute.regions.list":                       flat("compute#regionList", (*Server).regions),
		"compute.zones.list":                         flat("compute#zoneList", (*Server).zones),
		"compute.networks.list":                      flat("compute#networkList", (*Server).networks),
		"compute.subnetworks.list":                   flat("compute#subnetworkList", (*Server).subnetworks),
		"compute.images.list":                        flat("compute#imageList", (*Server).images),
		"compute.regions.get":                        named("region", (*Server).regions),
		"compute.zones.get":                          named("zone", (*Server).zones),
		"compute.networks.get":                       named("network", (*Server).networks),
		"compute.subnetworks.get":                    named("subnetwork", (*Server).subnetworks),
		"compute.images.get":                         named("image", (*Server).images),
		"compute.images.getFromFamily":               (*Server).getFromFamily,
		"compute.projects.get":                       (*Server).getProject,
		"compute.instances.insert":                   (*Server).insert,
		"compute.instances.bulkInsert":               (*Server).bulkInsert,
		"compute.regionInstances.bulkInsert":         (*Server).bulkInsert,
		"compute.instances.get":                      (*Server).getInstance,
		"compute.instances.delete":                   (*Server).deleteInstance,
		"compute.instances.stop":                     (*Server).stopInstance,
		"compute.instances.getSerialPortOutput":      (*Server).serialPort,
		"compute.instances.simulateMaintenanceEvent": (*Server).simulateMaintenance,
		"compute.zoneOperations.get":                 (*Server).getOperation,
		"compute.regionOperations.get":               (*Server).getOperation,
		"compute.globalOperations.get":               (*Server).getOperation,
		"compute.zoneOperations.wait":                (*Server).waitOperation,
		"compute.regionOperations.wait":              (*Server).waitOperation,
		"cloudbilling.services.skus.list":            (*Server).skus,
	}
}
