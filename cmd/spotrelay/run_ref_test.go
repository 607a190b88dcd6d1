package main

import (
	"errors"
	"testing"

	"github.com/spotrelay/spotrelay/runner/job"
)

func TestPickRun(t *testing.T) {
	runs := []string{"01aaaa1111", "01aabb2222", "01bbbb3333"}
	for ref, want := range map[string]string{
		"last": "01bbbb3333", "01b": "01bbbb3333", "01aaaa": "01aaaa1111", "2222": "01aabb2222", "01AABB": "01aabb2222", "01": "", "01aa": "", "x": "", "aabb": "",
	} {
		got, err := pickRun(runs, ref, "file:///b")
		if got != want {
			t.Errorf("pickRun(%q) = %q, want %q", ref, got, want)
		}
		var call *callError
		if want == "" && (!errors.As(err, &call) || call.hint == "") {
			t.Errorf("pickRun(%q): %v is no wrong call with a hint", ref, err)
		}
	}
	if _, err := pickRun(nil, "last", "file:///b"); err == nil {
		t.Error("picked a run of none")
	}
}

func TestParseTaskRef(t *testing.T) {
	for text, want := range map[string]taskRef{
		"train": {"train", -1}, "shard/3": {"shard", 3}, "shard[12]": {"shard", 12},
	} {
		if got, err := parseTaskRef(text); err != nil || got != want {
			t.Errorf("parseTaskRef(%q) = %v, %v, want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"shard/x", "shard/-1", "shard[1", "shard/"} {
		if got, err := parseTaskRef(text); err == nil {
			t.Errorf("parseTaskRef(%q) = %v", text, got)
		}
	}
}

func TestFindTask(t *testing.T) {
	spec := &job.Spec{Run: "r", Tasks: []job.Task{{Name: "one", Count: 1}, {Name: "many", Count: 3, Array: true}}}
	task, err := findTask(spec, taskRef{"many", 2})
	if err != nil || task.Name != "many" {
		t.Errorf("findTask(many/2) = %v, %v", task, err)
	}
	if _, err := findTask(spec, taskRef{"many", 3}); err == nil {
		t.Error("found index 3 of 3")
	}
	if _, err := (taskRef{"many", -1}).one(task); err == nil {
		t.Error("an array without an index is one")
	}
}

func TestSpelledArgs(t *testing.T) {
	got := spelledArgs([]string{"run", "-var", "a=1", "-var-file=f", "-check", "-d", "--", "-var"})
	want := []string{"run", "--var", "a=1", "--var-file=f", "--check", "-d", "--", "-var"}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("argument %d is %q, want %q", i, got[i], want[i])
		}
	}
}
