//go:build linux || darwin

package local

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/spotrelay/spotrelay/providers"
)

func testMetadata() (*metadata, *time.Time) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	m := newMetadata(providers.Instance{ID: "i-1", Offer: providers.Offer{Zone: "local-a", InstanceType: "local.small", Capacity: providers.Spot}})
	m.now = func() time.Time { return now }
	return m, &now
}

func ask(m http.Handler, method, path string, headers map[string]string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, nil)
	for name, text := range headers {
		r.Header.Set(name, text)
	}
	w := httptest.NewRecorder()
	m.ServeHTTP(w, r)
	return w
}

func TestMetadataTokens(t *testing.T) {
	cases := []struct {
		name    string
		method  string
		headers map[string]string
		want    int
	}{
		{"shortest", http.MethodPut, map[string]string{ttlHeader: "1"}, 200},
		{"longest", http.MethodPut, map[string]string{ttlHeader: "21600"}, 200},
		{"no life", http.MethodPut, nil, 400},
		{"zero", http.MethodPut, map[string]string{ttlHeader: "0"}, 400},
		{"too long", http.MethodPut, map[string]string{ttlHeader: "21601"}, 400},
		{"no number", http.MethodPut, map[string]string{ttlHeader: "60s"}, 400},
		{"through a proxy", http.MethodPut, map[string]string{ttlHeader: "60", "X-Forwarded-For": "10.0.0.1"}, 403},
		{"GET", http.MethodGet, map[string]string{ttlHeader: "60"}, 405},
		{"POST", http.MethodPost, map[string]string{ttlHeader: "60"}, 405},
	}
	for _, c := range cases {
		m, _ := testMetadata()
		w := ask(m, c.method, tokenPath, c.headers)
		if w.Code != c.want {
			t.Errorf("%s: %d, want %d", c.name, w.Code, c.want)
		}
		if w.Code == 200 && (w.Body.Len() == 0 || w.Header().Get(ttlHeader) != c.headers[ttlHeader]) {
			t.Errorf("%s: body %q, life %q", c.name, w.Body, w.Header().Get(ttlHeader))
		}
	}
}

func TestMetadataWantsAToken(t *testing.T) {
	m, now := testMetadata()
	other, _ := testMetadata()
	token := ask(m, http.MethodPut, tokenPath, map[string]string{ttlHeader: "10"}).Body.String()
	foreign := ask(other, http.MethodPut, tokenPath, map[string]string{ttlHeader: "10"}).Body.String()
	spoilt := []byte(token)
	spoilt[2] ^= 1
	get := func(token string) int {
		return ask(m, http.MethodGet, metaData+"instance-id", map[string]string{tokenHeader: token}).Code
	}
	for name, c := range map[string]struct {
		token string
		want  int
	}{"valid": {token, 200}, "none": {"", 401}, "another server's": {foreign, 401}, "spoilt": {string(spoilt), 401}, "short": {"AAAA", 401}} {
		if got := get(c.token); got != c.want {
			t.Errorf("%s: %d, want %d", name, got, c.want)
		}
	}
	*now = now.Add(10 * time.Second)
	if got := get(token); got != 401 {
		t.Errorf("expired: %d, want 401", got)
	}
	if got := ask(m, http.MethodPost, metaData+"instance-id", map[string]string{tokenHeader: token}).Code; got != 405 {
		t.Errorf("POST: %d, want 405", got)
	}
}

func TestMetadataContent(t *testing.T) {
	m, now := testMetadata()
	token := ask(m, http.MethodPut, tokenPath, map[string]string{ttlHeader: "21600"}).Body.String()
	check := func(moment, path string, code int, body string) {
		t.Helper()
		w := ask(m, http.MethodGet, "/latest/meta-data/"+path, map[string]string{tokenHeader: token})
		if w.Code != code || code == 200 && w.Body.String() != body {
			t.Errorf("%s: %s: %d %s, want %d %s", moment, path, w.Code, w.Body, code, body)
		}
	}
	check("at rest", "instance-id", 200, "i-1")
	check("at rest", "placement/availability-zone", 200, "local-a")
	check("at rest", "instance-life-cycle", 200, "spot")
	check("at rest", "instance-type", 200, "local.small")
	check("at rest", "nothing/of/the/kind", 404, "")
	check("at rest", "spot/instance-action", 404, "")
	check("at rest", "spot/termination-time", 404, "")
	check("at rest", "events/recommendations/rebalance", 404, "")
	check("at rest", "events/maintenance/scheduled", 200, "[]")

	m.recommend(*now)
	check("recommended", "events/recommendations/rebalance", 200, `{"noticeTime":"2026-01-02T03:04:05Z"}`)
	m.announce(&interruption{Deadline: now.Add(1500 * time.Millisecond)})
	check("noticed", "spot/instance-action", 200, `{"action":"terminate","time":"2026-01-02T03:04:06.5Z"}`)
	check("noticed", "spot/termination-time", 200, "2026-01-02T03:04:06Z")
	check("noticed", "events/maintenance/scheduled", 200, "[]")
	m.announce(nil)
	check("withdrawn", "spot/instance-action", 404, "")
	m.announce(&interruption{Maintenance: true, Deadline: now.Add(time.Hour)})
	check("maintenance", "spot/instance-action", 404, "")
	check("maintenance", "events/maintenance/scheduled", 200,
		`[{"Code":"instance-retirement","Description":"The host of the instance is going to be retired","EventId":"instance-event-i-1","NotAfter":"2 Jan 2026 04:04:05 GMT","NotBefore":"2 Jan 2026 04:04:05 GMT","State":"active"}]`)
	if w := ask(m, http.MethodGet, "/", map[string]string{tokenHeader: token}); w.Code != 404 {
		t.Errorf("/: %d", w.Code)
	}
	if _, err := time.Parse(maintenanceLayout, "21 Jan 2019 09:00:43 GMT"); err != nil {
		t.Error(err)
	}
}

func TestControlWantsItsSecret(t *testing.T) {
	orders := make(chan order, 1)
	h := controlHandler("secret", orders, nil)
	for name, c := range map[string]struct {
		method, path, secret string
		want                 int
	}{
		"no secret":    {http.MethodPost, controlTerminate, "", 401},
		"wrong secret": {http.MethodPost, controlTerminate, "Bearer other", 401},
		"GET":          {http.MethodGet, controlTerminate, "Bearer secret", 404},
		"no order":     {http.MethodPost, "/dance", "Bearer secret", 404},
	} {
		if got := ask(h, c.method, c.path, map[string]string{"Authorization": c.secret}).Code; got != c.want {
			t.Errorf("%s: %d, want %d", name, got, c.want)
		}
	}
	if len(orders) > 0 {
		t.Error("an order came through")
	}
}
