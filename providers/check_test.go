package providers_test

import (
	"testing"
	"time"

	"github.com/spotrelay/spotrelay/providers"
)

func TestCheckOfClock(t *testing.T) {
	for ahead, want := range map[time.Duration]providers.CheckResult{
		0: providers.CheckOK, 59 * time.Second: providers.CheckOK, -time.Minute: providers.CheckOK,
		61 * time.Second: providers.CheckWarning, -5 * time.Minute: providers.CheckWarning,
		301 * time.Second: providers.CheckFailed, -time.Hour: providers.CheckFailed,
	} {
		c := providers.CheckOfClock(ahead)
		if c.Result != want || (c.Advice == "") != (want == providers.CheckOK) || c.Detail == "" {
			t.Errorf("%s ahead: %+v; want %s", ahead, c, want)
		}
	}
}

func TestCheckOfFaults(t *testing.T) {
	if got := providers.CheckOfFaults("x", nil); len(got) != 1 || got[0].Result != providers.CheckOK {
		t.Errorf("%+v", got)
	}
	got := providers.CheckOfFaults("x", []providers.Fault{
		{Severity: providers.SeverityWarning, Summary: "w", Detail: "a"}, {Severity: providers.SeverityError, Summary: "e", Detail: "b"},
	})
	if len(got) != 2 || got[0] != (providers.Check{Name: "x", Result: providers.CheckWarning, Detail: "w", Advice: "a"}) || got[1].Result != providers.CheckFailed {
		t.Errorf("%+v", got)
	}
}
