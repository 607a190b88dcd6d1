//go:build linux || darwin

package local

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/spotrelay/spotrelay/providers"
)

// interruption is an announced loss of the instance.
type interruption struct {
	Maintenance bool      `json:"maintenance,omitempty"` // the host goes, not the capacity
	Announced   time.Time `json:"announced"`
	Deadline    time.Time `json:"deadline"`
}

// metadata is an instance's metadata server: the part of EC2's that tells of
// interruptions, by its rules (IMDSv2 alone; AWS EC2 User Guide, "Use IMDS").
type metadata struct {
	instance providers.Instance
	key      [32]byte // signs tokens
	now      func() time.Time

	mu           sync.Mutex
	interruption *interruption
	rebalance    time.Time // of the recommendation; zero: none
}

const longestTokenLife = 21600 // seconds

func newMetadata(instance providers.Instance) *metadata {
	m := &metadata{instance: instance, now: time.Now}
	_, _ = rand.Read(m.key[:]) // never fails
	return m
}

// announce sets the interruption that is told; nil withdraws it.
func (m *metadata) announce(i *interruption) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.interruption = i
}

// recommend sets the rebalance recommendation.
func (m *metadata) recommend(at time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.rebalance = at
}

// ServeHTTP implements http.Handler.
func (m *metadata) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Server", "EC2ws")
	switch {
	case r.URL.Path == tokenPath:
		m.serveToken(w, r)
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		w.Header().Set("Allow", "GET, HEAD")
		w.WriteHeader(http.StatusMethodNotAllowed)
	case !m.validToken(r.Header.Get(tokenHeader)):
		w.WriteHeader(http.StatusUnauthorized)
	default:
		content, ok := m.content(strings.TrimPrefix(r.URL.Path, metaData))
		if !ok || !strings.HasPrefix(r.URL.Path, metaData) {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		w.Header().Set("Content-Type", "text/plain")
		_, _ = w.Write([]byte(content))
	}
}

func (m *metadata) serveToken(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPut {
		w.Header().Set("Allow", "OPTIONS, PUT")
		w.WriteHeader(http.StatusMethodNotAllowed)
		return
	}
	if len(r.Header.Values("X-Forwarded-For")) > 0 {
		w.WriteHeader(http.StatusForbidden)
		return
	}
	life, err := strconv.Atoi(r.Header.Get(ttlHeader))
	if err != nil || life < 1 || life > longestTokenLife {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	w.Header().Set(ttlHeader, strconv.Itoa(life))
	w.Header().Set("Content-Type", "text/plain")
	_, _ = w.Write([]byte(m.token(m.now().Add(time.Duration(life) * time.Second))))
}

// token is valid until its end: the end, signed.
func (m *metadata) token(end time.Time) string {
	text := binary.BigEndian.AppendUint64(nil, uint64(end.UnixNano()))
	return base64.RawURLEncoding.EncodeToString(m.sign(text))
}

func (m *metadata) sign(text []byte) []byte {
	mac := hmac.New(sha256.New, m.key[:])
	mac.Write(text)
	return mac.Sum(text)
}

func (m *metadata) validToken(token string) bool {
	data, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil || len(data) != 8+sha256.Size {
		return false
	}
	end := time.Unix(0, int64(binary.BigEndian.Uint64(data)))
	return hmac.Equal(data, m.sign(data[:8:8])) && m.now().Before(end)
}

// content is what there is at a path below meta-data.
func (m *metadata) content(path string) (string, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch path {
	case "instance-id":
		return m.instance.ID, true
	case "instance-type":
		return m.instance.Offer.InstanceType, true
	case "instance-life-cycle":
		return string(m.instance.Offer.Capacity), true
	case "placement/availability-zone":
		return m.instance.Offer.Zone, true
	case "hostname", "local-hostname":
		return m.instance.ID, true
	case "spot/instance-action":
		if m.interruption == nil || m.interruption.Maintenance {
			return "", false
		}
		return compact(map[string]string{"action": "terminate", "time": m.interruption.Deadline.UTC().Format(time.RFC3339Nano)}), true
	case "spot/termination-time":
		if m.interruption == nil || m.interruption.Maintenance {
			return "", false
		}
		return m.interruption.Deadline.UTC().Format(time.RFC3339), true
	case "events/recommendations/rebalance":
		if m.rebalance.IsZero() {
			return "", false
		}
		return compact(map[string]string{"noticeTime": m.rebalance.UTC().Format(time.RFC3339)}), true
	case "events/maintenance/scheduled":
		return compact(m.maintenance()), true
	}
	return "", false
}

func (m *metadata) maintenance() []map[string]string {
	events := []map[string]string{}
	if m.interruption != nil && m.interruption.Maintenance {
		events = append(events, map[string]string{
			"Code": "instance-retirement", "EventId": "instance-event-" + m.instance.ID, "State": "active",
			"Description": "The host of the instance is going to be retired",
			"NotBefore":   m.interruption.Deadline.UTC().Format(maintenanceLayout),
			"NotAfter":    m.interruption.Deadline.UTC().Format(maintenanceLayout),
		})
	}
	return events
}

func compact(v any) string {
	data, err := json.Marshal(v)
	if err != nil {
		panic("local: metadata is not JSON: " + err.Error())
	}
	return string(data)
}
