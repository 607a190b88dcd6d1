package ec2test

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// metadata is an instance's metadata service (EC2 User Guide, "Use IMDS").
type metadata struct {
	server   *Server
	instance *instance

	mu     sync.Mutex
	tokens map[string]issuedToken
}

type issuedToken struct {
	end   time.Time
	epoch int // see ExpireTokens
}

func (s *Server) newMetadata(i *instance) *metadata {
	return &metadata{server: s, instance: i, tokens: map[string]issuedToken{}}
}

const (
	tokenHeader = "X-aws-ec2-metadata-token"
	lifeHeader  = "X-aws-ec2-metadata-token-ttl-seconds"

	longestTokenLife = 21600 // seconds
)

// ServeHTTP implements http.Handler.
func (m *metadata) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Server", "EC2ws")
	options := m.instance.data.Struct("MetadataOptions")
	token := r.Header.Get(tokenHeader)
	switch {
	case options.String("HttpEndpoint") == "disabled":
		w.WriteHeader(http.StatusForbidden)
	case r.URL.Path == "/latest/api/token":
		m.serveToken(w, r)
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		w.WriteHeader(http.StatusMethodNotAllowed)
	case token == "" && options.String("HttpTokens") == "required", token != "" && !m.valid(token):
		w.WriteHeader(http.StatusUnauthorized)
	case m.answered(w, r.URL.Path):
	default:
		m.serveContent(w, r)
	}
}

func (m *metadata) serveToken(w http.ResponseWriter, r *http.Request) {
	life, err := strconv.Atoi(r.Header.Get(lifeHeader))
	switch {
	case r.Method != http.MethodPut:
		w.WriteHeader(http.StatusMethodNotAllowed)
	case len(r.Header.Values("X-Forwarded-For")) > 0:
		w.WriteHeader(http.StatusForbidden)
	case err != nil || life < 1 || life > longestTokenLife:
		w.WriteHeader(http.StatusBadRequest)
	default:
		token := base64.RawURLEncoding.EncodeToString([]byte(rand.Text()))
		m.mu.Lock()
		m.tokens[token] = issuedToken{m.server.Now().Add(time.Duration(life) * time.Second), m.epoch()}
		m.mu.Unlock()
		w.Header().Set(lifeHeader, strconv.Itoa(life))
		_, _ = w.Write([]byte(token)) // the caller may have gone
	}
}

func (m *metadata) epoch() int {
	m.server.mu.Lock()
	defer m.server.mu.Unlock()
	return m.instance.tokenEpoch
}

// answered gives what the test wants to be answered at a path.
func (m *metadata) answered(w http.ResponseWriter, path string) bool {
	m.server.mu.Lock()
	defer m.server.mu.Unlock()
	answer, ok := m.instance.answers[strings.TrimPrefix(path, "/latest/meta-data/")]
	if ok {
		w.WriteHeader(answer.status)
		_, _ = w.Write([]byte(answer.body)) // the caller may have gone
	}
	return ok
}

func (m *metadata) valid(token string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	issued, known := m.tokens[token]
	m.server.mu.Lock()
	defer m.server.mu.Unlock()
	return known && issued.epoch == m.instance.tokenEpoch && m.server.Now().Before(issued.end)
}

func (m *metadata) serveContent(w http.ResponseWriter, r *http.Request) {
	s := m.server
	s.mu.Lock()
	s.settle()
	content, ok := m.content(strings.TrimSuffix(strings.TrimPrefix(r.URL.Path, "/latest/"), "/"))
	s.mu.Unlock()
	if !ok {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	w.Header().Set("Content-Type", "text/plain")
	_, _ = w.Write([]byte(content)) //nolint:gosec // text/plain; the caller may have gone
}

// content is what there is at a path. Called with the server's lock held.
func (m *metadata) content(path string) (string, bool) {
	i, s := m.instance, m.server
	if rest, ok := strings.CutPrefix(path, "meta-data/iam/"); ok {
		return m.identity(rest)
	}
	switch path {
	case "user-data":
		return string(i.userData()), len(i.userData()) > 0
	case "dynamic/instance-identity/document":
		return asJSON(map[string]string{
			"instanceId": i.id, "instanceType": i.kind.Name, "region": s.options.Region, "availabilityZone": i.pool.Zone,
			"imageId": i.image, "accountId": Account, "architecture": i.kind.Arch, "version": "2017-09-30",
		}), true
	case "meta-data/instance-id":
		return i.id, true
	case "meta-data/ami-id":
		return i.image, true
	case "meta-data/instance-type":
		return i.kind.Name, true
	case "meta-data/instance-life-cycle":
		return i.pool.Lifecycle, true
	case "meta-data/placement/availability-zone":
		return i.pool.Zone, true
	case "meta-data/placement/region":
		return s.options.Region, true
	case "meta-data/hostname", "meta-data/local-hostname":
		return i.id + ".ec2.internal", true
	case "meta-data/events/maintenance/scheduled":
		return m.scheduled(), true
	case "meta-data/events/recommendations/rebalance":
		return asJSON(map[string]string{"noticeTime": i.rebalance.UTC().Format(time.RFC3339)}), !i.rebalance.IsZero()
	case "meta-data/spot/instance-action", "meta-data/spot/termination-time":
		return m.interruption(path)
	}
	return "", false
}

func (m *metadata) interruption(path string) (string, bool) {
	told := m.instance.interruption
	if told == nil {
		return "", false
	}
	if told.seen.IsZero() {
		told.seen = m.server.Now()
	}
	at := told.Deadline.UTC().Format(time.RFC3339)
	if strings.HasSuffix(path, "termination-time") {
		return at, true
	}
	return asJSON(map[string]string{"action": told.Action, "time": at}), true
}

// scheduledLayout is how the events give times, unlike the rest.
const scheduledLayout = "2 Jan 2006 15:04:05 GMT"

func (m *metadata) scheduled() string {
	events := []map[string]string{}
	for n, event := range m.instance.events {
		events = append(events, map[string]string{
			"Code": event.Code, "Description": event.Description, "State": "active",
			"EventId":   "instance-event-0d59937288b749b3" + strconv.Itoa(n),
			"NotBefore": event.NotBefore.UTC().Format(scheduledLayout), "NotAfter": event.NotAfter.UTC().Format(scheduledLayout),
		})
	}
	return asJSON(events)
}

// identity is what the instance may use to call AWS.
func (m *metadata) identity(path string) (string, bool) {
	profile := m.instance.data.Struct("IamInstanceProfile")
	if profile == nil {
		return "", false
	}
	const role = "relay-agent"
	switch path {
	case "info":
		return asJSON(map[string]string{"Code": "Success", "InstanceProfileArn": profile.String("Arn"), "InstanceProfileId": "AIPAEXAMPLE"}), true
	case "security-credentials":
		return role, true
	case "security-credentials/" + role:
		return asJSON(map[string]string{
			"Code": "Success", "Type": "AWS-HMAC", "AccessKeyId": AccessKey, "SecretAccessKey": SecretKey, "Token": "instance-" + m.instance.id,
			"LastUpdated": m.server.Now().UTC().Format(time.RFC3339), "Expiration": m.server.Now().Add(6 * time.Hour).UTC().Format(time.RFC3339),
		}), true
	}
	return "", false
}

func asJSON(v any) string {
	data, err := json.Marshal(v)
	if err != nil {
		panic("ec2test: metadata is not JSON: " + err.Error())
	}
	return string(data)
}

func (i *instance) userData() []byte {
	data, err := base64.StdEncoding.DecodeString(i.data.String("UserData"))
	if err != nil {
		return nil // it was checked at the launch
	}
	return data
}
