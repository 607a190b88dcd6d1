package computetest

import (
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

const metadataRoot = "/computeMetadata/v1/"

// metadata is the metadata server of one instance. Values that change have an
// etag; a request with wait_for_change=true hangs until the value's etag is
// another than last_etag, or timeout_sec are over.
type metadata struct {
	instance *instance
	server   *Server

	mu       sync.Mutex
	values   map[string]string // below instance/
	versions map[string]int
	changed  chan struct{} // closed at the next change
	broken   int           // so many requests are answered with 503
	asked    map[string]int
	changes  map[string]time.Time
	http     *http.Server
	address  string
}

func newMetadata(s *Server, in *instance) *metadata {
	return &metadata{
		instance: in, server: s, changed: make(chan struct{}), versions: map[string]int{}, asked: map[string]int{},
		changes: map[string]time.Time{},
		values:  map[string]string{"preempted": "FALSE", "maintenance-event": "NONE"},
	}
}

// set changes a value; who waits for it is told.
func (m *metadata) set(name, value string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.values[name] == value {
		return
	}
	m.values[name] = value
	m.versions[name]++
	m.changes[name] = time.Now()
	close(m.changed)
	m.changed = make(chan struct{})
}

// listen serves on loopback until stop.
func (m *metadata) listen() error {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.address = listener.Addr().String()
	m.http = &http.Server{Handler: m, ReadHeaderTimeout: 10 * time.Second}
	server := m.http
	go func() { _ = server.Serve(listener) }() // it ends with stop
	return nil
}

func (m *metadata) stop() {
	m.mu.Lock()
	server := m.http
	m.http = nil
	m.mu.Unlock()
	if server != nil {
		_ = server.Close() // connections of a machine that is off
	}
}

// ServeHTTP answers as the metadata server of a VM does.
func (m *metadata) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Metadata-Flavor", "Google")
	w.Header().Set("Server", "Metadata Server for VM")
	switch {
	case r.Header.Get("Metadata-Flavor") != "Google", r.Header.Get("X-Forwarded-For") != "":
		http.Error(w, "Missing Metadata-Flavor:Google header.", http.StatusForbidden)
		return
	case r.Method != http.MethodGet:
		http.Error(w, "Method not allowed.", http.StatusMethodNotAllowed)
		return
	}
	path, ok := strings.CutPrefix(r.URL.Path, metadataRoot)
	if !ok {
		http.NotFound(w, r)
		return
	}
	if m.breaks(path) {
		http.Error(w, "The metadata server is not available.", http.StatusServiceUnavailable)
		return
	}
	if r.URL.Query().Get("wait_for_change") == "true" && !m.wait(r, path) {
		return
	}
	value, etag, ok := m.value(path)
	if !ok {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("ETag", etag)
	w.Header().Set("Content-Type", "application/text")
	if strings.HasSuffix(path, "/token") {
		w.Header().Set("Content-Type", "application/json")
	}
	fmt.Fprint(w, value) //nolint:gosec // plain text for programs, on loopback
}

// breaks counts a request, and reports whether it is to fail.
func (m *metadata) breaks(path string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.asked[path]++
	if m.broken > 0 {
		m.broken--
		return true
	}
	return false
}

// wait hangs until a value has changed; false when the client has gone. Without
// last_etag it waits for the next change.
func (m *metadata) wait(r *http.Request, path string) bool {
	_, now, _ := m.value(path)
	last := r.URL.Query().Get("last_etag")
	if last == "" {
		last = now
	}
	var late <-chan time.Time
	if text := r.URL.Query().Get("timeout_sec"); text != "" {
		if d, err := time.ParseDuration(text + "s"); err == nil {
			timer := time.NewTimer(d)
			defer timer.Stop()
			late = timer.C
		}
	}
	for {
		m.mu.Lock()
		changed := m.changed
		m.mu.Unlock()
		if _, etag, _ := m.value(path); etag != last {
			return true
		}
		select {
		case <-changed:
		case <-late:
			return true
		case <-r.Context().Done():
			return false
		}
	}
}

func (m *metadata) value(path string) (value, etag string, ok bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	in := m.instance
	if name, found := strings.CutPrefix(path, "instance/"); found {
		if value, ok := m.values[name]; ok {
			return value, fmt.Sprintf("%x%s", 0xe000+m.versions[name], name[:2]), true
		}
		if key, found := strings.CutPrefix(name, "attributes/"); found {
			value, ok := attribute(in, key)
			return value, "attribute", ok
		}
	}
	account := m.server.account(in)
	switch path {
	case "instance/id":
		value = fmt.Sprint(in.id)
	case "instance/name":
		value = in.name
	case "instance/zone":
		value = "projects/" + number(m.server.options.Project)[:12] + "/zones/" + in.zone.name
	case "instance/machine-type":
		value = "projects/" + number(m.server.options.Project)[:12] + "/machineTypes/" + in.machineType.name
	case "instance/hostname":
		value = in.name + "." + in.zone.name + ".c." + m.server.options.Project + ".internal"
	case "project/project-id":
		value = m.server.options.Project
	case "instance/service-accounts/default/email":
		value = account
	case "instance/service-accounts/default/token":
		value = fmt.Sprintf(`{"access_token":%q,"expires_in":3599,"token_type":"Bearer"}`, in.token())
	}
	if strings.HasPrefix(path, "instance/service-accounts/") && account == "" {
		value = ""
	}
	return value, "constant", value != ""
}

func attribute(in *instance, key string) (string, bool) {
	for _, item := range objectsAt(in.asked, "metadata.items") {
		if textAt(item, "key") == key {
			return textAt(item, "value"), true
		}
	}
	return "", false
}

// MetadataURL is the address of an instance's metadata server, which is started
// now if no machine did; "" for an instance that is gone.
func (s *Server) MetadataURL(id uint64) (address string) {
	s.with(id, func(in *instance) {
		if in.metadata.address == "" {
			if err := in.metadata.listen(); err != nil {
				s.failed("computetest: %v", err)
			}
		}
		address = "http://" + in.metadata.address
	})
	return address
}

// BreakMetadata lets the next n requests to an instance's metadata server fail
// with 503.
func (s *Server) BreakMetadata(id uint64, n int) bool {
	return s.with(id, func(in *instance) {
		in.metadata.mu.Lock()
		defer in.metadata.mu.Unlock()
		in.metadata.broken = n
	})
}

// MetadataAsked is how often a path was asked for at an instance's metadata
// server, also after its end.
func (s *Server) MetadataAsked(id uint64, path string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, in := range s.instances {
		if in.id == id {
			in.metadata.mu.Lock()
			defer in.metadata.mu.Unlock()
			return in.metadata.asked[path]
		}
	}
	return 0
}

// MetadataChanged is when, by this machine's clock, a value below instance/
// changed last.
func (s *Server) MetadataChanged(id uint64, name string) time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, in := range s.instances {
		if in.id == id {
			in.metadata.mu.Lock()
			defer in.metadata.mu.Unlock()
			return in.metadata.changes[name]
		}
	}
	return time.Time{}
}
