package store

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/spotrelay/spotrelay/runner/job"
	"github.com/spotrelay/spotrelay/runner/plan"
)

// told: an error that says what is wrong with the document, and no other.
func told(err error) bool { return errors.Is(err, ErrCorrupt) || errors.Is(err, ErrVersion) }

func FuzzDecodeEntry(f *testing.F) {
	entry := Entry{Version: 1, Seq: 3, Epoch: 2, Nonce: "n", Now: 5, Events: []plan.Event{{At: 5, RunHeld: &plan.RunHeld{Reason: "r"}}}, Requests: []string{"k"}}
	data, _ := EncodeEntry(entry)
	f.Add(data)
	f.Add(compress(data))
	f.Add(golden(f, "entry"))
	f.Add([]byte(`{"version":2}`))
	f.Add([]byte("\x28\xb5\x2f\xfd"))
	f.Fuzz(func(t *testing.T, data []byte) {
		entry, err := DecodeEntry("journal/1", data)
		if err != nil {
			if !told(err) {
				t.Fatalf("%v", err)
			}
			return
		}
		again, err := EncodeEntry(entry)
		if err != nil {
			t.Fatal(err)
		}
		back, err := DecodeEntry("journal/1", again)
		if err != nil || !sameJSON(t, entry, back) {
			t.Fatalf("%+v came back as %+v (%v)", entry, back, err)
		}
	})
}

func FuzzDecodeSnapshot(f *testing.F) {
	data, _ := EncodeSnapshot(Snapshot{Version: 1, Seq: 3, Epoch: 1, State: json.RawMessage(`{"tasks":[]}`)})
	f.Add(data)
	f.Add(golden(f, "snapshot"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if _, err := DecodeSnapshot("snapshots/3", data); err != nil && !told(err) {
			t.Fatalf("%v", err)
		}
	})
}

func FuzzDecodeDesired(f *testing.F) {
	data, _ := encode(job.Desired{Version: 1, Run: "r", Instance: "i", Epoch: 1, Sequence: 2, Attempts: []job.Assignment{{AttemptID: testAttempt, Count: 4}}})
	f.Add(golden(f, "desired"))
	fuzzDocument[job.Desired](f, data)
}

func FuzzDecodeStatus(f *testing.F) {
	data, _ := encode(job.Status{Version: 1, Run: "r", Instance: "i", Phase: job.PhaseReady, Ended: []job.AttemptEnd{{AttemptID: testAttempt, Exited: true}}})
	f.Add(golden(f, "status"))
	fuzzDocument[job.Status](f, data)
}

func FuzzDecodeLease(f *testing.F) {
	data, _ := encode(Lease{Version: 1, Epoch: 4, Counter: 9, Duration: 15e9, Holder: Holder{Host: "h", PID: 3}})
	fuzzDocument[Lease](f, data)
}

func FuzzDecodeSpec(f *testing.F) { fuzzDocument[job.Spec](f, golden(f, "spec")) }

func FuzzDecodeRequest(f *testing.F) { fuzzDocument[requestDocument](f, golden(f, "request")) }

func FuzzDecodeMember(f *testing.F) { fuzzDocument[Member](f, golden(f, "member")) }

// golden is a full document as a seed.
func golden(f *testing.F, name string) []byte {
	f.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", "golden", nextRelease, name+".json"))
	if err != nil {
		f.Fatal(err)
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, data); err != nil {
		f.Fatal(err)
	}
	return compact.Bytes()
}

// goldenEvents is one event of each kind.
func goldenEvents(f *testing.F) []json.RawMessage {
	f.Helper()
	var entry struct {
		Events []json.RawMessage `json:"events"`
	}
	if err := json.Unmarshal(golden(f, "entry"), &entry); err != nil {
		f.Fatal(err)
	}
	return entry.Events
}

// foldSpec is what journals are folded over: two tasks, one of them an array.
func foldSpec() *job.Spec {
	task := func(name string, count int, after ...string) job.Task {
		return job.Task{
			Name: name, Count: count, Array: count > 1, DependsOn: after, Fleets: []string{"fleet"}, Slots: 1,
			Execution: job.Execution{Command: []string{"true"}}, Retries: job.Retries{Attempts: 3},
		}
	}
	return &job.Spec{
		Version: 1, Run: testRun, Fleets: []job.Fleet{{Name: "fleet", Provider: "local"}},
		Tasks: []job.Task{task("task", 3), task("other", 1, "task")},
	}
}

// FuzzFold folds entries that can be read, whatever they say: a damaged journal
// ends in an error, or in a state that can be shown and kept.
func FuzzFold(f *testing.F) {
	for _, event := range goldenEvents(f) {
		f.Add(fmt.Appendf(nil, `{"version":1,"seq":1,"epoch":1,"events":[%s]}`, event))
	}
	f.Add([]byte(`{"version":1,"seq":1,"epoch":1,"events":[{"attempt_assigned":{"task":"task","index":9,"attempt":1}},{"index_ended":{"task":"none"}}]}`))
	f.Add([]byte(`{"version":1,"seq":1,"epoch":1,"events":[{"launch_opened":{"token":"t","fleet":"fleet"}},{"instance_found":{"token":"t","instance":{"id":"i"}}},{"attempt_assigned":{"task":"task","index":0,"attempt":1,"instance":"i"}},{"attempt_accepted":{"task":"task","index":0,"attempt":1}},{"attempt_ended":{"task":"task","index":0,"attempt":1,"class":"failed"}}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		entry, err := DecodeEntry("journal/1", data)
		if err != nil {
			return
		}
		spec := foldSpec()
		state := plan.New(spec)
		var at Position
		at.Fold(state, entry)
		state.Run()
		taken, err := TakeSnapshot(state, at)
		if err != nil {
			t.Fatal(err)
		}
		snapshot, err := DecodeSnapshot("snapshot", taken.data)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := plan.Load(spec, snapshot.State); err != nil {
			t.Fatalf("its snapshot is not read: %v", err)
		}
	})
}

// FuzzLoadState reads states that snapshots may hold.
func FuzzLoadState(f *testing.F) {
	kept, err := plan.New(foldSpec()).Snapshot()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(kept)
	f.Add([]byte(`{"tasks":[{"indexes":[{},{},{}]},{"indexes":[{}]}],"instances":{"i":null},"launches":{"t":null}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		state, err := plan.Load(foldSpec(), data)
		if err != nil {
			return
		}
		state.Run()
		if _, err := state.Snapshot(); err != nil {
			t.Fatal(err)
		}
	})
}

func fuzzDocument[T any](f *testing.F, data []byte) {
	f.Add(data)
	f.Add([]byte(`{"version":2}`))
	f.Add([]byte(`{"version":1,"epoch":"x"}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		document, err := decode[T]("key", data)
		if err != nil {
			if !told(err) {
				t.Fatalf("%v", err)
			}
			return
		}
		again, err := encode(document)
		if err != nil {
			t.Skip() // a time outside of what JSON can write
		}
		back, err := decode[T]("key", again)
		if err != nil || !sameJSON(t, document, back) {
			t.Fatalf("%+v came back as %+v (%v)", document, back, err)
		}
	})
}

func sameJSON(t *testing.T, a, b any) bool {
	one, err := json.Marshal(a)
	if err != nil {
		t.Fatal(err)
	}
	two, err := json.Marshal(b)
	if err != nil {
		t.Fatal(err)
	}
	return reflect.DeepEqual(one, two)
}
