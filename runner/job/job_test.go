package job

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestExecutionOf(t *testing.T) {
	task := &Task{
		Name: "t", Count: 3, Keys: []string{"a", "b", "c"},
		Execution: Execution{Command: []string{"x", "0"}, Env: map[string]string{"A": "1", "B": "2"}, Signal: "SIGTERM"},
		Elements:  []Element{{}, {Command: []string{"x", "1"}}, {Env: map[string]string{"B": "b", "C": "c"}}},
	}
	before := cmp.Diff(task.Execution, task.ExecutionOf(0))
	if before != "" {
		t.Errorf("an element without anything is the task's: %s", before)
	}
	if got := task.ExecutionOf(1); !slices.Equal(got.Command, []string{"x", "1"}) || got.Env["B"] != "2" {
		t.Error(got)
	}
	got := task.ExecutionOf(2)
	if diff := cmp.Diff(map[string]string{"A": "1", "B": "b", "C": "c"}, got.Env); diff != "" {
		t.Error(diff)
	}
	got.Env["A"] = "changed"
	if task.Execution.Env["A"] != "1" || len(task.Execution.Env) != 2 {
		t.Error("the task's own env was changed")
	}
	if plain := (&Task{Elements: []Element{{Env: map[string]string{"A": "1"}}}}).ExecutionOf(0); plain.Env["A"] != "1" {
		t.Error(plain)
	}
	if task.KeyOf(2) != "c" || task.KeyOf(3) != "" || (&Task{}).KeyOf(0) != "" {
		t.Error("keys")
	}
}

func TestFindByName(t *testing.T) {
	spec := &Spec{Tasks: []Task{{Name: "a"}, {Name: "b"}}, Fleets: []Fleet{{Name: "f"}}}
	if task, ok := spec.Task("b"); !ok || task != &spec.Tasks[1] {
		t.Error("a task is found where it is")
	}
	if fleet, ok := spec.Fleet("f"); !ok || fleet != &spec.Fleets[0] {
		t.Error("a fleet is found where it is")
	}
	if _, ok := spec.Task("c"); ok {
		t.Error("there is no task c")
	}
	if _, ok := spec.Fleet("c"); ok {
		t.Error("there is no fleet c")
	}
}

func TestDurationJSON(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := Duration(rapid.Int64().Draw(t, "nanoseconds"))
		data, err := json.Marshal(want)
		if err != nil {
			t.Fatal(err)
		}
		var got Duration
		if err := json.Unmarshal(data, &got); err != nil || got != want {
			t.Fatalf("%s: got %v, want %v (%v)", data, got, want, err)
		}
	})
	for _, text := range []string{`5`, `"5"`, `"x"`, `null`, `{}`} {
		duration := Duration(7)
		if err := json.Unmarshal([]byte(text), &duration); err == nil && text != "null" {
			t.Errorf("%s: %v", text, duration)
		}
	}
	if data, err := json.Marshal(Duration(90 * time.Second)); err != nil || string(data) != `"1m30s"` {
		t.Error(string(data), err)
	}
}

func TestRunIDs(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	entropy := bytes.NewReader(bytes.Repeat([]byte{7}, 100))
	var ids []string
	for i := range 5 {
		id, err := NewRunID(now.Add(time.Duration(i)*time.Second), entropy)
		if err != nil {
			t.Fatal(err)
		}
		if !ValidRunID(id) || id != strings.ToLower(id) {
			t.Errorf("%s is no id", id)
		}
		ids = append(ids, id)
	}
	if !slices.IsSorted(ids) {
		t.Errorf("ids do not sort by time: %v", ids)
	}
	if _, err := NewRunID(now, strings.NewReader("")); err == nil {
		t.Error("an id without entropy")
	}
	for _, id := range []string{"", "x", "../../etc", strings.ToUpper(ids[0]), ids[0] + "0", ids[0][:25] + "/", ids[0][:25] + "u"} {
		if ValidRunID(id) {
			t.Errorf("%q is taken for an id", id)
		}
	}
}

// TestEmbeddedID: an assignment and what an agent reports are flat in JSON, as
// documents of other versions have them.
func TestEmbeddedID(t *testing.T) {
	data, err := json.Marshal(Assignment{AttemptID: AttemptID{Task: "t", Index: 2, Attempt: 3}})
	if err != nil {
		t.Fatal(err)
	}
	var flat map[string]any
	if err := json.Unmarshal(data, &flat); err != nil {
		t.Fatal(err)
	}
	if flat["task"] != "t" || flat["index"] != 2.0 || flat["attempt"] != 3.0 {
		t.Error(string(data))
	}
}
