package ec2test

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/spotrelay/spotrelay/providers/aws/ec2test/model"
)

// T is what a Server needs of a test.
type T interface {
	Helper()
	Cleanup(func())
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
	Logf(format string, args ...any)
}

// Server is one region of one account. Its methods may be called at any time.
type Server struct {
	URL     string
	t       T
	options Options
	clock   clock
	model   *model.Model
	http    *httptest.Server
	network network

	mu         sync.Mutex
	serial     int
	calls      []Call
	violations []string
	faults     []*Fault
	limits     map[string]*bucket
	denied     map[string]bool
	instances  []*instance // in the order of their launch
	byID       map[string]*instance
	templates  []*template
	tokens     map[string]*remembered
	capacity   map[Pool]int
	prices     map[Pool]float64
	quotas     map[string]float64 // by quota code
	bootFaults []*BootFailure
	closed     bool
}

// Call is a request that was made.
type Call struct {
	Service   string
	Operation string
	Input     model.Values
	Code      string // of the refusal; "" when it was served
	At        time.Time
}

// Start runs a server until the test ends. Violations fail the test then.
func Start(t T, options Options) *Server {
	t.Helper()
	s := &Server{
		t: t, options: options.withDefaults(), model: model.Load(),
		limits: map[string]*bucket{}, denied: map[string]bool{}, byID: map[string]*instance{},
		tokens: map[string]*remembered{}, capacity: map[Pool]int{}, prices: map[Pool]float64{}, quotas: map[string]float64{},
	}
	s.network = newNetwork(s.options)
	for code := range quotaNames {
		s.quotas[code] = 100000
	}
	for _, action := range options.Denied {
		s.denied[action] = true
	}
	s.http = httptest.NewServer(http.HandlerFunc(s.serve))
	s.URL = s.http.URL
	t.Cleanup(s.close)
	return s
}

func (s *Server) close() {
	s.mu.Lock()
	s.closed = true
	machines := s.machines()
	violations := s.violations
	s.mu.Unlock()
	for _, m := range machines {
		m.kill()
		m.wait()
	}
	s.http.CloseClientConnections()
	s.http.Close()
	for _, violation := range violations {
		s.t.Errorf("a request that EC2 would not take: %s", violation)
	}
}

// Environment makes a program's SDK talk to the server, and to nothing else.
func (s *Server) Environment() []string {
	return []string{
		"AWS_ENDPOINT_URL=" + s.URL, "AWS_REGION=" + s.options.Region,
		"AWS_ACCESS_KEY_ID=" + AccessKey, "AWS_SECRET_ACCESS_KEY=" + SecretKey, "AWS_SESSION_TOKEN=",
		"AWS_EC2_METADATA_DISABLED=true", "AWS_CA_BUNDLE=", "AWS_PROFILE=",
		"AWS_CONFIG_FILE=/dev/null", "AWS_SHARED_CREDENTIALS_FILE=/dev/null",
	}
}

const longestRequest = 4 << 20

func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	id := s.newUUID()
	w.Header().Set("x-amzn-RequestId", id)
	body, err := io.ReadAll(io.LimitReader(r.Body, longestRequest))
	if err != nil {
		return // the caller has gone
	}
	name, refused := s.signedAs(r, body)
	service := s.model.Services[name]
	if service == nil {
		http.Error(w, fmt.Sprintf("no service %q here", name), http.StatusNotFound)
		s.note(Call{Service: name}, violate("UnknownService", "no service %q here", name))
		return
	}
	call := Call{Service: name}
	var answer model.Values
	lose := false
	if refused == nil {
		answer, lose, refused = s.handle(service, &call, r, body)
	}
	s.note(call, refused)
	if lose {
		panic(http.ErrAbortHandler) // cuts the connection
	}
	if refused == nil {
		err := writeAnswer(w, service, call.Operation, id, answer)
		if err == nil {
			return
		}
		refused = violate("InternalError", "the server's own answer is wrong: %v", err)
		s.note(call, refused)
	}
	writeRefusal(w, service, id, refused)
}

// note records a call and what came of it.
func (s *Server) note(call Call, refused *apiError) {
	s.mu.Lock()
	defer s.mu.Unlock()
	call.At = s.clock.now()
	if refused != nil {
		call.Code = refused.Code
		if refused.violation {
			s.violations = append(s.violations, fmt.Sprintf("%s:%s: %s", call.Service, call.Operation, refused.Error()))
		}
	}
	s.calls = append(s.calls, call)
}

// handle reads, checks and serves a request. lose says that the effect took
// place and the answer must not arrive.
func (s *Server) handle(service *model.Service, call *Call, r *http.Request, body []byte) (answer model.Values, lose bool, refused *apiError) {
	decode, refused := readOperation(service, call, r, body)
	if refused != nil {
		return nil, false, refused
	}
	if refused := s.throttle(service, call.Operation); refused != nil {
		return nil, false, refused
	}
	input, err := decode()
	call.Input = input
	if err != nil {
		var fault *model.Fault
		if errors.As(err, &fault) {
			return nil, false, violate(fault.Code, "%s", fault.Message)
		}
		return nil, false, violate("InternalError", "%v", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.settle()
	if refused := s.authorize(service, call.Service, call.Operation); refused != nil {
		return nil, false, refused
	}
	fault := s.takeFault(call.Operation, nil)
	if fault != nil && !fault.LoseAnswer {
		return nil, false, fault.refusal()
	}
	answer, refused = s.dispatch(call.Service, call.Operation, input)
	return answer, fault != nil, refused
}

// readOperation finds out what is asked, and how to read the rest.
func readOperation(service *model.Service, call *Call, r *http.Request, body []byte) (func() (model.Values, error), *apiError) {
	if r.Method != http.MethodPost {
		return nil, violate("InvalidAction", "the method is %s, not POST", r.Method)
	}
	if service.Metadata.Protocol == "json" {
		prefix, operation, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
		if prefix != service.Metadata.TargetPrefix {
			return nil, violate("UnknownOperationException", "the target is '%s'", r.Header.Get("X-Amz-Target"))
		}
		call.Operation = operation
		return func() (model.Values, error) { return service.DecodeJSON(operation, body) }, nil
	}
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return nil, violate("MalformedQueryString", "%v", err)
	}
	call.Operation = form.Get("Action")
	if version := form.Get("Version"); version != service.Metadata.APIVersion {
		return nil, violate("NoSuchVersion", "the version '%s' is not %s", version, service.Metadata.APIVersion)
	}
	return func() (model.Values, error) { return service.DecodeQuery(call.Operation, form) }, nil
}

func writeAnswer(w http.ResponseWriter, service *model.Service, operation, id string, answer model.Values) error {
	var data []byte
	var err error
	kind := "text/xml;charset=UTF-8"
	if service.Metadata.Protocol == "json" {
		kind = "application/x-amz-json-" + service.Metadata.JSONVersion
		data, err = service.EncodeJSON(operation, answer)
	} else {
		data, err = service.EncodeXML(operation, id, answer)
	}
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", kind)
	_, _ = w.Write(data) //nolint:gosec // XML and JSON, escaped; the caller may have gone
	return nil
}

func writeRefusal(w http.ResponseWriter, service *model.Service, id string, e *apiError) {
	if service.Metadata.Protocol == "json" {
		w.Header().Set("Content-Type", "application/x-amz-json-"+service.Metadata.JSONVersion)
		w.Header().Set("X-Amzn-ErrorType", e.Code)
		w.WriteHeader(e.status())
		_, _ = fmt.Fprintf(w, `{"__type":%q,"message":%q}`, e.Code, e.Message)
		return
	}
	w.Header().Set("Content-Type", "text/xml;charset=UTF-8")
	w.WriteHeader(e.status())
	_, _ = io.Copy(w, bytes.NewReader(service.ErrorXML(id, e.Code, e.Message)))
}

func (s *Server) newUUID() string {
	b := make([]byte, 16)
	_, _ = rand.Read(b) // never fails
	text := hex.EncodeToString(b)
	return text[:8] + "-" + text[8:12] + "-4" + text[13:16] + "-a" + text[17:20] + "-" + text[20:]
}

// newID is a resource id that EC2 could have given.
func (s *Server) newID(prefix string) string {
	s.serial++
	b := make([]byte, 4)
	_, _ = rand.Read(b) // never fails
	return fmt.Sprintf("%s-0%s%08x", prefix, hex.EncodeToString(b), s.serial)
}
