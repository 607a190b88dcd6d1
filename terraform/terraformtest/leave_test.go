package terraformtest

import (
	"strings"
	"testing"

	"github.com/spotrelay/spotrelay/providers"
)

// TestLeave: how instances end themselves is why those of AWS need no permission
// in EC2, and those of Google Cloud the one to delete.
func TestLeave(t *testing.T) {
	on := func(cloud string) providers.Leave {
		d, err := testProvider(t, cloud).Describe(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return d.Leave
	}
	if way := on("aws"); way.Means != providers.LeavePowerOff {
		t.Errorf("instances of AWS end themselves by %q, for which their role has no permission", way.Means)
	}
	if way := on("gcp"); way.Means != providers.LeaveCommand || !strings.Contains(strings.Join(way.Command, " "), "-X DELETE") {
		t.Errorf("instances of Google Cloud end themselves by %q; the role leave is for a deletion", way.Means)
	}
}
