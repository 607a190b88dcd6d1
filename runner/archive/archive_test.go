package archive

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"net/url"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/spotrelay/spotrelay/checkpointing"
	"github.com/spotrelay/spotrelay/checkpointing/bucket"
	"github.com/spotrelay/spotrelay/checkpointing/bucket/buckettest/memory"
	"github.com/spotrelay/spotrelay/runner/job"
	"github.com/spotrelay/spotrelay/runner/plan"
	"github.com/spotrelay/spotrelay/runner/store"
)

const testRun = "01k00000000000000000000000"

func open(t testing.TB) bucket.Bucket {
	t.Helper()
	b, err := bucket.Open(t.Context(), (&url.URL{Scheme: "file", Path: t.TempDir(), RawQuery: "sync=off"}).String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return b
}

func save(t testing.TB, b bucket.Bucket, key string, id checkpointing.ID, size int) *job.Manifest {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "x"), bytes.Repeat([]byte(key), size/len(key)+1), 0o644); err != nil {
		t.Fatal(err)
	}
	saved, err := checkpointing.Open(b).Save(t.Context(), dir, checkpointing.SaveOptions{Key: key, ID: id})
	if err != nil {
		t.Fatal(err)
	}
	return store.ManifestRef(saved.Ref)
}

// made is a run with a workdir, an output, a checkpoint and an agent, over when
// it shall be.
func made(t testing.TB, b bucket.Bucket, over bool) *job.Spec {
	t.Helper()
	id := checkpointing.ID{Attempt: 1, Sequence: 1}
	spec := &job.Spec{
		Run: testRun, Job: "moved", Created: time.Unix(1, 0).UTC(), Fleets: []job.Fleet{{Name: "here", Provider: "local"}},
		Workdir: save(t, b, store.WorkdirKey(testRun), checkpointing.ID{}, 10),
		Agent:   map[string]job.Program{"linux-amd64": {Key: "agents/v1/agent", Bytes: 7}},
		Tasks: []job.Task{{Name: "one", Count: 2, Array: true, Fleets: []string{"here"},
			Execution: job.Execution{Command: []string{"true"}, Checkpoint: &job.Checkpoint{Path: "c"}}}},
	}
	if _, err := b.Put(t.Context(), "agents/v1/agent", bytes.NewReader([]byte("program")), bucket.IfAbsent()); err != nil {
		t.Fatal(err)
	}
	output := save(t, b, store.OutputKey(testRun, job.AttemptID{Task: "one", Attempt: 1}), checkpointing.ID{}, 3000)
	save(t, b, store.CheckpointKey(testRun, "one", 1, 0, id), id, 3000)
	if err := store.WriteSpec(t.Context(), b, spec); err != nil {
		t.Fatal(err)
	}
	attempt := job.AttemptID{Task: "one", Attempt: 1}
	events := []plan.Event{
		{AttemptAssigned: &plan.AttemptAssigned{AttemptID: attempt, Instance: "i"}},
		{AttemptEnded: &plan.AttemptEnded{AttemptID: attempt, Verdict: plan.Verdict{Class: job.Succeeded}, Output: output}},
		{IndexEnded: &plan.IndexEnded{Task: "one", Index: 1, Class: job.Failed}},
		{RunEnded: &plan.RunEnded{Outcome: plan.OutcomeFailed}},
	}
	if over {
		events = append(events, plan.Event{RunClosed: &plan.RunClosed{}})
	}
	if _, err := store.OpenJournal(b, testRun, store.Position{}, 1, store.Holder{ID: "x"}).Append(t.Context(), store.Entry{Events: events}); err != nil {
		t.Fatal(err)
	}
	if _, err := store.SwapLease(t.Context(), b, testRun, store.Lease{Epoch: 1}, ""); err != nil {
		t.Fatal(err)
	}
	return spec
}

func export(t testing.TB, b bucket.Bucket) []byte {
	t.Helper()
	var file bytes.Buffer
	if _, err := Export(t.Context(), ExportOptions{Bucket: b, Run: testRun, Agents: true}, &file); err != nil {
		t.Fatal(err)
	}
	return file.Bytes()
}

func bring(t testing.TB, b bucket.Bucket, file []byte) (Imported, error) {
	t.Helper()
	return Import(t.Context(), ImportOptions{Bucket: b}, bytes.NewReader(file))
}

func isRun(t testing.TB, b bucket.Bucket) bool {
	t.Helper()
	_, err := store.ReadSpec(t.Context(), b, testRun)
	if err != nil && !errors.Is(err, bucket.ErrNotFound) {
		t.Fatal(err)
	}
	return err == nil
}

// A run that is moved is the same run: its journal, and all that its manifests
// name.
func TestMove(t *testing.T) {
	from, to := open(t), open(t)
	made(t, from, true)
	file := export(t, from)
	if !bytes.Equal(file, export(t, from)) {
		t.Error("the same run gave other bytes")
	}
	var last Progress
	found, err := Import(t.Context(), ImportOptions{Bucket: to, Progress: func(p Progress) { last = p }}, bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	if found.Run != testRun || found.Written != found.Objects || last.Objects != found.Objects || last.Bytes != found.Bytes {
		t.Errorf("imported %+v, progress %+v", found, last)
	}
	state, _, err := store.LoadRun(t.Context(), to, testRun)
	if err != nil || !state.Finished() {
		t.Fatalf("the moved run: %v", err)
	}
	for _, key := range []string{state.Spec.Workdir.Key, state.Index("one", 0).Output.Key, store.CheckpointKey(testRun, "one", 1, 0, checkpointing.ID{Attempt: 1, Sequence: 1})} {
		result, err := checkpointing.Open(to).Verify(t.Context(), checkpointing.Ref{Key: key}, checkpointing.VerifyOptions{})
		if err != nil || len(result.Damaged) > 0 {
			t.Errorf("%s: %v, damaged %v", key, err, result.Damaged)
		}
	}
	if _, _, err := store.ReadLease(t.Context(), to, testRun); !errors.Is(err, bucket.ErrNotFound) {
		t.Errorf("the lease was moved: %v", err)
	}
	if live, err := store.ListLive(t.Context(), to); err != nil || len(live) > 0 {
		t.Errorf("it counts as live: %v (%v)", live, err)
	}
	if !bytes.Equal(file, export(t, to)) {
		t.Error("exported from where it was moved to it has other bytes")
	}
	if again, err := bring(t, to, file); err != nil || again.Written != 0 {
		t.Errorf("imported again: %+v (%v)", again, err)
	}
}

func TestExportRefusesALiveRun(t *testing.T) {
	b := open(t)
	made(t, b, false)
	if _, err := Export(t.Context(), ExportOptions{Bucket: b, Run: testRun}, &bytes.Buffer{}); !errors.Is(err, ErrLive) {
		t.Errorf("it is %v", err)
	}
}

// A checkpoint that has lost a part is left out, and said; anything else that
// has is an error.
func TestExportOfWhatIsDamaged(t *testing.T) {
	b := open(t)
	made(t, b, true)
	key := store.CheckpointKey(testRun, "one", 1, 0, checkpointing.ID{Attempt: 1, Sequence: 1})
	packs, err := checkpointing.Packs(t.Context(), b, checkpointing.Ref{Key: key})
	if err != nil || len(packs) == 0 {
		t.Fatalf("%v %v", packs, err)
	}
	for pack := range packs {
		if err := b.Delete(t.Context(), pack); err != nil {
			t.Fatal(err)
		}
	}
	var passed []string
	var file bytes.Buffer
	if _, err := Export(t.Context(), ExportOptions{Bucket: b, Run: testRun, Passed: func(key string, _ error) { passed = append(passed, key) }}, &file); err != nil {
		t.Fatal(err)
	}
	if len(passed) != 1 || passed[0] != key {
		t.Errorf("passed over: %v", passed)
	}
	to := open(t)
	if _, err := bring(t, to, file.Bytes()); err != nil {
		t.Error(err)
	}
	if _, err := b.Put(t.Context(), store.WorkdirKey(testRun), bytes.NewReader([]byte("damaged")), bucket.Condition{}); err != nil {
		t.Fatal(err)
	}
	if _, err := Export(t.Context(), ExportOptions{Bucket: b, Run: testRun}, &bytes.Buffer{}); err == nil {
		t.Error("a workdir that is damaged is exported")
	}
}

// Cut off anywhere, or changed anywhere, it is refused, and there is no run.
func TestImportRefusesWhatIsNotWhole(t *testing.T) {
	from := open(t)
	made(t, from, true)
	file := export(t, from)
	for n := 0; n < len(file); n += max(1, len(file)/40) {
		to := open(t)
		if _, err := bring(t, to, file[:n]); err == nil || isRun(t, to) {
			t.Errorf("cut off at %d of %d it is taken: %v", n, len(file), err)
		}
		changed := bytes.Clone(file)
		changed[n] ^= 0x40
		to = open(t)
		// A bit that the packing does not use changes nothing.
		if _, err := bring(t, to, changed); err != nil && isRun(t, to) || err == nil && !bytes.Equal(export(t, to), file) {
			t.Errorf("changed at %d it is taken: %v", n, err)
		}
	}
	// What was interrupted is repeated.
	to := open(t)
	if _, err := bring(t, to, file[:len(file)*2/3]); err == nil {
		t.Fatal("it is whole")
	}
	if found, err := bring(t, to, file); err != nil || !isRun(t, to) || found.Written == 0 {
		t.Errorf("repeated: %+v (%v)", found, err)
	}
}

// rewritten is an archive whose entries were changed by somebody who knows the
// format.
func rewritten(t *testing.T, file []byte, change func(*tar.Header, []byte) (*tar.Header, []byte)) []byte {
	t.Helper()
	in, err := zstd.NewReader(bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	var out bytes.Buffer
	packed, err := zstd.NewWriter(&out)
	if err != nil {
		t.Fatal(err)
	}
	reader, writer := tar.NewReader(in), tar.NewWriter(packed)
	for {
		head, err := reader.Next()
		if err != nil {
			break
		}
		var body bytes.Buffer
		if _, err := body.ReadFrom(reader); err != nil {
			t.Fatal(err)
		}
		head, data := change(head, body.Bytes())
		if head == nil {
			continue
		}
		own, err := take(bytes.NewReader(data))
		if err != nil {
			t.Fatal(err)
		}
		head.Size, head.PAXRecords = int64(len(data)), map[string]string{digestRecord: own.digest()}
		if err := writer.WriteHeader(head); err != nil {
			t.Fatal(err)
		}
		if _, err := writer.Write(data); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(writer.Close(), packed.Close()); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// What was changed by somebody who knows the format cannot leave the run, and is
// no run either.
func TestImportRefusesWhatWasMadeUp(t *testing.T) {
	from := open(t)
	made(t, from, true)
	file := export(t, from)
	renamed := func(name string) func(*tar.Header, []byte) (*tar.Header, []byte) {
		return func(head *tar.Header, data []byte) (*tar.Header, []byte) {
			if head.Name == store.WorkdirKey(testRun) {
				head.Name = name
			}
			return head, data
		}
	}
	for name, change := range map[string]func(*tar.Header, []byte) (*tar.Header, []byte){
		"another run's": renamed("runs/01k00000000000000000000001/spec.json"),
		"upwards":       renamed("runs/" + testRun + "/../01k00000000000000000000001/workdir"),
		"absolute":      renamed("/etc/passwd"),
		"the bucket's":  renamed("bucket.json"),
		"the lease":     renamed(store.LeaseKey(testRun)),
		"a marker":      renamed("data/.collecting/x"),
		"twice":         renamed(store.OutputKey(testRun, job.AttemptID{Task: "one", Attempt: 1})),
		"one is missing": func(head *tar.Header, data []byte) (*tar.Header, []byte) {
			if head.Name == store.WorkdirKey(testRun) {
				return nil, nil
			}
			return head, data
		},
		"another specification": func(head *tar.Header, data []byte) (*tar.Header, []byte) {
			return head, bytes.ReplaceAll(data, []byte(`"moved"`), []byte(`"other"`))
		},
		"a later format": func(head *tar.Header, data []byte) (*tar.Header, []byte) {
			if head.Name == headerName {
				data = bytes.Replace(data, []byte(`"version":1`), []byte(`"version":2`), 1)
			}
			return head, data
		},
	} {
		t.Run(name, func(t *testing.T) {
			to := open(t)
			if _, err := bring(t, to, rewritten(t, file, change)); !errors.Is(err, ErrDamaged) && !errors.Is(err, ErrVersion) || isRun(t, to) {
				t.Errorf("it is taken: %v", err)
			}
		})
	}
	same := func(head *tar.Header, data []byte) (*tar.Header, []byte) { return head, data }
	if _, err := bring(t, open(t), rewritten(t, file, same)); err != nil {
		t.Errorf("unchanged it is refused: %v", err)
	}
}

// Another run with that id, or another object of it, is left alone.
func TestImportKeepsWhatIsThere(t *testing.T) {
	from := open(t)
	spec := made(t, from, true)
	file := export(t, from)
	to := open(t)
	other := *spec
	other.Job = "another"
	if err := store.WriteSpec(t.Context(), to, &other); err != nil {
		t.Fatal(err)
	}
	if _, err := bring(t, to, file); !errors.Is(err, ErrExists) {
		t.Errorf("over another run: %v", err)
	}
	to = open(t)
	if _, err := to.Put(t.Context(), store.JournalKey(testRun, 1), bytes.NewReader([]byte("other")), bucket.IfAbsent()); err != nil {
		t.Fatal(err)
	}
	if _, err := bring(t, to, file); !errors.Is(err, ErrExists) || isRun(t, to) {
		t.Errorf("over another object: %v", err)
	}
}

func FuzzImport(f *testing.F) {
	from := open(f)
	made(f, from, true)
	file := export(f, from)
	f.Add(file)
	f.Add(file[:len(file)/2])
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, data []byte) {
		to := memory.New("fuzz")
		if _, err := Import(context.Background(), ImportOptions{Bucket: to}, bytes.NewReader(data)); err != nil && isRun(t, to) {
			t.Errorf("refused, and yet a run: %v", err)
		}
	})
}
