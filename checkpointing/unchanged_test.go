package checkpointing

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/spotrelay/spotrelay/checkpointing/bucket/buckettest"
)

// rested waits until a change of what was written so far would show.
func rested(t testing.TB) {
	t.Helper()
	if err := wait(t.Context(), 2*tick); err != nil {
		t.Fatal(err)
	}
}

// TestUnchangedFilesAreNotRead: a save reads what has changed, however that is
// hidden, and all of it when it is asked to or knows nothing.
func TestUnchangedFilesAreNotRead(t *testing.T) {
	from, b := filepath.Join(t.TempDir(), "from"), openBucket(t)
	mustWrite(t, from, tree{"big": file(noise(1, 3<<20)), "small": file("12345"), "other": file("abcde")})
	e := Open(b)
	first := mustSave(t, e, from, ID{1, 1}, nil)
	firstStored := read(t, b, first.Ref.Key)
	if first.BytesRead != 3<<20+10 {
		t.Errorf("the first save read %d bytes", first.BytesRead)
	}
	sequence := int64(1)
	save := func(e Engine, base *Ref, rehash bool, read int64) *Ref {
		t.Helper()
		sequence++
		result, err := e.Save(t.Context(), from, SaveOptions{Key: keyOf(ID{1, sequence}), ID: ID{1, sequence}, Base: base, Rehash: rehash})
		if err != nil {
			t.Fatal(err)
		}
		if result.BytesRead != read {
			t.Errorf("save %d read %d bytes, want %d", sequence, result.BytesRead, read)
		}
		to := filepath.Join(t.TempDir(), "to")
		mustRestore(t, Open(b), result.Ref, to)
		want, err := readTree(from)
		if err != nil {
			t.Fatal(err)
		}
		mustHold(t, to, want)
		return &result.Ref
	}
	save(e, &first.Ref, false, 0)
	save(e, &first.Ref, true, 3<<20+10)
	known := int64(0) // to a new process, by the base
	if place() == "" {
		known = 3<<20 + 10
	}
	second := save(Open(b), &first.Ref, false, known)
	save(Open(b), second, false, known)
	m := manifestOf(t, b, first.Ref)
	m.Place = "another machine, or the same after it was started anew"
	overwrite(t, b, first.Ref.Key, encodeManifest(m))
	save(Open(b), &Ref{Key: first.Ref.Key}, false, 3<<20+10)
	overwrite(t, b, first.Ref.Key, firstStored)
	save(e, nil, false, 3<<20+10) // nothing is pinned, so nothing may be shared

	// The same size, and the times as before.
	name := filepath.Join(from, "small")
	if err := errors.Join(os.WriteFile(name, []byte("54321"), 0o644), os.Chtimes(name, someTime, someTime)); err != nil {
		t.Fatal(err)
	}
	base := save(e, &first.Ref, false, 5)
	// Two files change places; their times and sizes are the same.
	other := filepath.Join(from, "other")
	if err := errors.Join(os.Chtimes(other, someTime, someTime), os.Rename(name, name+"x"), os.Rename(other, name), os.Rename(name+"x", other)); err != nil {
		t.Fatal(err)
	}
	base = save(e, base, false, 10)
	if err := os.Chmod(name, 0o600); err != nil { // its ctime tells
		t.Fatal(err)
	}
	base = save(e, base, false, 5)
	// The same, unknown to the process that saves.
	if err := errors.Join(os.WriteFile(name, []byte("abcdf"), 0o600), os.Chtimes(name, someTime, someTime)); err != nil {
		t.Fatal(err)
	}
	save(Open(b), base, false, max(known, 5))
}

// TestRestoredFilesAreNotRead: nor are those that were restored, but for what
// was written in the last moment of it.
func TestRestoredFilesAreNotRead(t *testing.T) {
	from, to, b := filepath.Join(t.TempDir(), "from"), filepath.Join(t.TempDir(), "to"), openBucket(t)
	mustWrite(t, from, tree{"big": file(noise(1, 3<<20)), "small": file("12345")})
	ref := mustSave(t, Open(b), from, ID{1, 1}, nil).Ref
	// The last file comes late, so that the others have rested.
	slow := Open(&buckettest.Faults{Bucket: buckettest.Slow(b, 3*tick), Fail: nothingFails})
	mustRestore(t, slow, ref, to)
	if result := mustSave(t, slow, to, ID{1, 2}, &ref); result.BytesSent != 0 || result.Packs != 0 {
		t.Errorf("what was restored is sent again: %+v", result)
	}
	third := mustSave(t, slow, to, ID{1, 3}, &ref)
	if third.BytesRead != 0 {
		t.Errorf("what was saved is read again: %d bytes", third.BytesRead)
	}
}

// TestSameTick writes a file twice within a tick of the clock, a save between
// them: the second write does not go unnoticed.
func TestSameTick(t *testing.T) {
	from, b := t.TempDir(), openBucket(t)
	e, base := Open(b), (*Ref)(nil)
	name := filepath.Join(from, "x")
	for i := range int64(20) {
		want := noise(uint64(i), 100)
		if err := os.WriteFile(name, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		ref := mustSave(t, e, from, ID{1, i}, base).Ref
		base = &ref
		to := filepath.Join(t.TempDir(), "to")
		mustRestore(t, Open(b), ref, to)
		if got, err := os.ReadFile(filepath.Join(to, "x")); err != nil || string(got) != want {
			t.Fatalf("save %d has other content (%v)", i, err)
		}
	}
}

// TestHugeHole: a file that is nearly all hole is not read through.
func TestHugeHole(t *testing.T) {
	from, to := t.TempDir(), filepath.Join(t.TempDir(), "to")
	f, err := os.Create(filepath.Join(from, "sparse"))
	if err != nil {
		t.Fatal(err)
	}
	const size = 1 << 40
	for _, at := range []int64{5, 3<<30 + 77, size - 10} {
		if _, err := f.WriteAt([]byte("data"), at); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(f.Truncate(size), f.Close()); err != nil {
		t.Fatal(err)
	}
	e := Open(openBucket(t))
	start := time.Now()
	var last Progress
	result, err := e.Save(t.Context(), from, SaveOptions{Key: keyOf(ID{1, 1}), ID: ID{1, 1}, Progress: func(p Progress) { last = p }})
	if err != nil {
		t.Fatal(err)
	}
	if result.BytesSent > 4*regionSize || last.BytesDone+last.BytesShared != size {
		t.Errorf("sent %d bytes, the progress is %+v", result.BytesSent, last)
	}
	mustRestore(t, e, result.Ref, to)
	if took := time.Since(start); took > 30*time.Second {
		t.Errorf("it took %v", took)
	}
	restored, err := os.Open(filepath.Join(to, "sparse"))
	if err != nil {
		t.Fatal(err)
	}
	defer restored.Close()
	got := make([]byte, 4)
	for _, at := range []int64{5, 3<<30 + 77, size - 10} {
		if _, err := restored.ReadAt(got, at); err != nil || string(got) != "data" {
			t.Errorf("at %d there is %q, %v", at, got, err)
		}
	}
	if info, err := restored.Stat(); err != nil || info.Size() != size {
		t.Errorf("it has %v", info)
	}
}
