package gcp

import (
	"regexp"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestIDs(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		id := instanceID{
			zone: rapid.StringMatching(`[a-z]{2,9}-[a-z]{3,9}[1-9]-[a-f]`).Draw(t, "zone"),
			name: rapid.StringMatching(`[a-z]([a-z0-9-]{0,30}[a-z0-9])?`).Draw(t, "name"), number: rapid.Uint64Min(1).Draw(t, "number"),
		}
		if got, ok := parseID(id.String()); !ok || got != id {
			t.Fatalf("%s is read as %+v, %v", id, got, ok)
		}
	})
	for _, text := range []string{"", "i-no-such-instance", "us-central1-a.x", "us-central1-a.x.0", "us-central1-a.x.007", "us-central1-a.x.-1", "us-central1-a.x.1.2", "../a.x.1", "us-central1-a.x/y.1", "us-central1-a.X.1"} {
		if id, ok := parseID(text); ok {
			t.Errorf("%q is read as the id %+v", text, id)
		}
	}
}

var uuidForm = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-[45][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)

// A request id for an end is a UUID, says whose it is and of what, and is not
// taken for one about another instance.
func TestEndRequests(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		number := rapid.Uint64Min(1).Draw(t, "number")
		other := rapid.Uint64Min(1).Filter(func(n uint64) bool { return n != number }).Draw(t, "other")
		mark := rapid.SampledFrom([]string{markTerminate, markLeave}).Draw(t, "mark")
		text := endRequest(mark, number)
		if !uuidForm.MatchString(text) {
			t.Fatalf("%s is no UUID", text)
		}
		if got := endMark(strings.ToUpper(text), number); got != mark {
			t.Errorf("%s has the mark %q", text, got)
		}
		if got := endMark(text, other); got != "" {
			t.Errorf("%s is taken for one about %d", text, other)
		}
	})
	for _, text := range []string{"", "5907e1", "a5b2c3d4-0000-4000-8000-000000000001"} {
		if endMark(text, 1) != "" {
			t.Errorf("%q is taken for ours", text)
		}
	}
}

func TestLaunchIdentity(t *testing.T) {
	seen := map[string]bool{}
	for _, token := range []string{"a-1", "a-2", strings.Repeat("A", 64)} {
		for bulk := range 3 {
			id := launchRequestID("p", token, bulk)
			if !uuidForm.MatchString(id) || seen[id] || id != launchRequestID("p", token, bulk) {
				t.Errorf("the request id %s of %s, %d", id, token, bulk)
			}
			seen[id] = true
			for _, index := range []int{0, inBulk - 1} {
				name := instanceName(token, bulk, index)
				if !resourceForm.MatchString(name) || seen[name] {
					t.Errorf("the name %s", name)
				}
				seen[name] = true
			}
		}
	}
}
