package bootstrap

import (
	"testing"
	"time"

	"github.com/spotrelay/spotrelay/providers"
)

func TestSetNoticeLead(t *testing.T) {
	given := &providers.NoticeProbe{Sources: []providers.NoticeSource{
		{Name: "preempted", Kind: "interruption", Match: providers.NoticeMatch{Lead: 30 * time.Second}},
		{Name: "maintenance", Kind: "maintenance", Match: providers.NoticeMatch{Lead: time.Minute}},
	}}
	c := Config{Notice: given}
	c.SetNoticeLead(120 * time.Second)
	if got := c.Notice.Sources[0].Match.Lead; got != 120*time.Second {
		t.Errorf("the interruption's lead is %s", got)
	}
	if got := c.Notice.Sources[1].Match.Lead; got != time.Minute {
		t.Errorf("the maintenance's lead is %s", got)
	}
	if got := given.Sources[0].Match.Lead; got != 30*time.Second {
		t.Errorf("the probe that was given was changed: %s", got)
	}
	new(Config).SetNoticeLead(time.Second) // no probe, nothing to do
}
