package main

import (
	"encoding/json"
	"strings"
	"testing"
)

// The second attempt goes on from both directories of the first, and the end
// of the run leaves what the job file says.
func TestExampleCheckpoints(t *testing.T) {
	p := newPlace(t)
	p.spotrelay(exitSucceeded, "run", example("checkpoints/checkpoints.hcl"), "-var", "steps=5")
	var attempts attemptsJSON
	if err := json.Unmarshal([]byte(p.spotrelay(exitSucceeded, "attempts", "last", "--json")), &attempts); err != nil {
		t.Fatal(err)
	}
	if len(attempts.Attempts) != 2 || attempts.Attempts[0].Class != "preempted" {
		t.Fatalf("attempts: %+v", attempts.Attempts)
	}
	logs := p.spotrelay(exitSucceeded, "logs", "last", "count")
	for _, want := range []string{"going on after step 0, with 0 squares", "write_seconds", "save_seconds", "restored checkpoint index 1-", "counted to 5"} {
		if !strings.Contains(logs, want) {
			t.Errorf("the log does not say %q:\n%s", want, logs)
		}
	}
	if strings.Count(logs, "going on after step 0") != 1 {
		t.Errorf("the second attempt began anew:\n%s", logs)
	}
	var list checkpointsJSON
	if err := json.Unmarshal([]byte(p.spotrelay(exitSucceeded, "checkpoint", "ls", "last", "--json")), &list); err != nil {
		t.Fatal(err)
	}
	if len(list.Checkpoints) != 1 || list.Checkpoints[0].Name != "" || !strings.HasPrefix(list.Checkpoints[0].ID, "2-") || !list.Checkpoints[0].Newest {
		t.Errorf("left: %+v", list.Checkpoints)
	}
	p.spotrelay(exitSucceeded, "checkpoint", "verify", "last")
}
