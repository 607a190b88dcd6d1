package store

import (
	"encoding/json"
	"errors"
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
	f.Fuzz(func(t *testing.T, data []byte) {
		if _, err := DecodeSnapshot("snapshots/3", data); err != nil && !told(err) {
			t.Fatalf("%v", err)
		}
	})
}

func FuzzDecodeDesired(f *testing.F) {
	data, _ := encode(job.Desired{Version: 1, Run: "r", Instance: "i", Epoch: 1, Sequence: 2, Attempts: []job.Assignment{{AttemptID: testAttempt, Count: 4}}})
	fuzzDocument[job.Desired](f, data)
}

func FuzzDecodeStatus(f *testing.F) {
	data, _ := encode(job.Status{Version: 1, Run: "r", Instance: "i", Phase: job.PhaseReady, Ended: []job.AttemptEnd{{AttemptID: testAttempt, Exited: true}}})
	fuzzDocument[job.Status](f, data)
}

func FuzzDecodeLease(f *testing.F) {
	data, _ := encode(Lease{Version: 1, Epoch: 4, Counter: 9, Duration: 15e9, Holder: Holder{Host: "h", PID: 3}})
	fuzzDocument[Lease](f, data)
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
