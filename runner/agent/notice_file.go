//go:build unix

package agent

import (
	"encoding/json"
	"os"
	"time"

	"github.com/spotrelay/spotrelay/runner/job"
)

// noticeDocument is the content of SPOTRELAY_NOTICE_FILE. It is written anew,
// whole, when the plan has changed by a second or more.
type noticeDocument struct {
	Action   string  `json:"action"`
	Deadline string  `json:"deadline,omitempty"` // RFC 3339, by the instance's clock
	Seconds  float64 `json:"seconds"`            // left when it was written; 0 when nobody knows
	// WriteSeconds of these the task may write; then it is killed, so that the
	// last save has the rest. Absent when nobody knows.
	WriteSeconds *float64 `json:"write_seconds,omitempty"`
	// SaveSeconds is what the last save is planned to take.
	SaveSeconds *float64 `json:"save_seconds,omitempty"`
}

// writeNotice writes the notice file, whole.
func (t *attempt) writeNotice(s stop, plan lastPlan) {
	document := noticeDocument{Action: s.notice.Action}
	if document.Action == "" {
		document.Action = string(s.notice.Kind)
	}
	if !s.notice.Deadline.IsZero() {
		document.Deadline = s.notice.Deadline.UTC().Format(time.RFC3339)
	}
	if !s.deadline.IsZero() {
		document.Seconds = max(0, time.Until(s.deadline).Round(time.Millisecond).Seconds())
		write, save := seconds(plan.write), seconds(plan.save)
		document.WriteSeconds, document.SaveSeconds = &write, &save
		t.noticed = time.Now().Add(plan.write)
	}
	data, err := json.Marshal(document)
	if err == nil {
		temporary := t.noticeFile + ".new"
		if err = os.WriteFile(temporary, append(data, '\n'), 0o644); err == nil {
			err = os.Rename(temporary, t.noticeFile)
		}
	}
	if err != nil {
		t.warn("the notice file could not be written: %v", err)
		t.record(func(end *job.AttemptEnd) { end.AgentFull = end.AgentFull || isFull(err) })
	}
}

// renewNotice tells the task when its time has become shorter or longer.
func (t *attempt) renewNotice(stops []stop, plan lastPlan) {
	changed := time.Until(t.noticed) - plan.write
	if t.noticed.IsZero() || changed.Abs() < time.Second {
		return
	}
	for _, s := range stops {
		if s.notice != nil && !s.deadline.IsZero() {
			t.writeNotice(s, plan)
		}
	}
}

func seconds(d time.Duration) float64 { return max(0, d.Round(time.Millisecond).Seconds()) }
