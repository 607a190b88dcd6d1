package main

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/spotrelay/spotrelay/runner/job"
)

// gangTotal is what the gang's nodes add up to, whatever befell them.
func gangTotal(nodes, steps int) int {
	total := 0
	for step := range steps {
		for node := range nodes {
			total += node + step
		}
	}
	return total
}

// runGang runs the example and is its attempts, and what each node wrote.
func runGang(t *testing.T, p *place, steps int, args ...string) (attemptsJSON, []string) {
	t.Helper()
	p.spotrelay(exitSucceeded, append([]string{"run", example("gang/gang.hcl"), "-var", fmt.Sprintf("steps=%d", steps)}, args...)...)
	var list attemptsJSON
	if err := json.Unmarshal([]byte(p.spotrelay(exitSucceeded, "attempts", "last", "--json")), &list); err != nil {
		t.Fatal(err)
	}
	logs := make([]string, 4)
	for node := range logs {
		logs[node] = p.spotrelay(exitSucceeded, "logs", "last", "sum", "--node", fmt.Sprint(node))
	}
	to := filepath.Join(p.dir, "got")
	p.spotrelay(exitSucceeded, "outputs", "last", "sum", "--to", to)
	if got, want := strings.TrimSpace(p.read(filepath.Join(to, "total.txt"))), fmt.Sprint(gangTotal(4, steps)); got != want {
		t.Errorf("the total is %s, want %s", got, want)
	}
	return list, logs
}

// One of four nodes is preempted: one attempt is charged, as preempted, and the
// second goes on on all four from what all had saved.
func TestExampleGang(t *testing.T) {
	needPython(t)
	p := newPlace(t)
	list, logs := runGang(t, p, 60)
	if len(list.Attempts) != 2 || list.Attempts[0].Class != job.Preempted || list.Attempts[1].Class != job.Succeeded {
		t.Fatalf("want a preempted and a succeeded attempt: %+v", list.Attempts)
	}
	first, second := list.Attempts[0], list.Attempts[1]
	if first.Charge != job.ChargePreemptions || second.Left == nil || second.Left.Attempts != 4 {
		t.Errorf("charged to %s, and left is %+v: want one preemption", first.Charge, second.Left)
	}
	lost := slices.DeleteFunc(slices.Clone(first.Nodes), func(n nodeJSON) bool { return n.Cause == job.CauseNodeLost })
	if len(first.Nodes) != 4 || len(lost) != 1 || lost[0].Class != job.Preempted || lost[0].Evidence == nil {
		t.Errorf("want evidence of four nodes, one of them lost: %+v", first.Nodes)
	}
	kept := 0
	for node, n := range second.Nodes {
		if slices.ContainsFunc(first.Nodes, func(before nodeJSON) bool { return before.Instance == n.Instance }) {
			kept++
		}
		if n.Restored == nil || n.Restored.Attempt != 1 || n.Restored.Sequence != second.Nodes[0].Restored.Sequence {
			t.Errorf("node %d goes on from %+v, want the round of node 0", node, n.Restored)
		}
		if strings.Contains(logs[node], "at step 0\n") && strings.Count(logs[node], "at step 0\n") != 1 {
			t.Errorf("node %d began anew:\n%s", node, logs[node])
		}
	}
	if kept != 3 {
		t.Errorf("%d instances serve again, want 3", kept)
	}
	if second.Restored == nil || !strings.Contains(second.Restored.Key, "/gangs/sum/0/") {
		t.Errorf("the attempt goes on from %+v, want a gang manifest", second.Restored)
	}
}

// With replace the other three keep their processes: each starts once, and only
// the lost node is charged.
func TestExampleGangReplace(t *testing.T) {
	needPython(t)
	p := newPlace(t)
	list, logs := runGang(t, p, 80, "-var", "on_node_loss=replace")
	if len(list.Attempts) != 1 || list.Attempts[0].Class != job.Succeeded {
		t.Fatalf("want one attempt that succeeded: %+v", list.Attempts)
	}
	only := list.Attempts[0]
	if only.Left == nil || only.Left.Attempts != 4 {
		t.Errorf("left is %+v, want one attempt charged", only.Left)
	}
	replaced := -1
	for _, n := range only.Nodes {
		if n.Class == job.Preempted {
			if replaced >= 0 || n.Charge != job.ChargePreemptions || n.Evidence == nil || n.Evidence.Text == "" {
				t.Errorf("want one lost incarnation, charged, with evidence: %+v", only.Nodes)
			}
			replaced = n.Node
		}
	}
	if replaced < 0 || len(only.Nodes) != 5 {
		t.Fatalf("want four nodes and one lost incarnation: %+v", only.Nodes)
	}
	for node, log := range logs {
		starts, goesOn := strings.Count(log, "starts as process"), strings.Count(log, "all 4 go on after step")
		switch {
		case node != replaced && (starts != 1 || goesOn != 2):
			t.Errorf("node %d started %d times and went on %d times, want its one process to go on with the new node:\n%s", node, starts, goesOn, log)
		case node == replaced && starts != 2:
			t.Errorf("node %d started %d times, want 2:\n%s", node, starts, log)
		}
	}
}
