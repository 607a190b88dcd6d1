package checkpointing

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestManySmallFiles: 10,000 files are few objects, and one more file costs
// one more object, not all of them again.
func TestManySmallFiles(t *testing.T) {
	from, to := filepath.Join(memoryDir(t), "from"), filepath.Join(memoryDir(t), "to")
	content := tree{}
	const dirs, files = 20, 500
	for d := range dirs {
		content[fmt.Sprintf("d%02d", d)] = dir()
		for f := range files {
			content[fmt.Sprintf("d%02d/f%03d", d, f)] = file(noise(uint64(d*files+f), 1000))
		}
	}
	mustWrite(t, from, content)
	b := openBucket(t)
	e := Open(b)
	first := mustSave(t, e, from, ID{1, 1}, nil)
	if n := len(objects(t, b, "")); n > 10 || first.Ref.Files != dirs*files {
		t.Errorf("%d files became %d objects", first.Ref.Files, n)
	}
	changed := tree{"zz-new": file("new"), "aa-new": file("new too")}
	for name, n := range changed {
		content[name] = n
		if err := os.WriteFile(filepath.Join(from, name), []byte(n.Content), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(filepath.Join(from, name), n.Time, n.Time); err != nil {
			t.Fatal(err)
		}
	}
	second := mustSave(t, e, from, ID{1, 2}, &first.Ref)
	if second.BytesSent > 1000 {
		t.Errorf("two small files more cost %d bytes", second.BytesSent)
	}
	mustRestore(t, e, second.Ref, to)
	mustHold(t, to, content)
}

// TestPoorPacksAreLeft: a chunk of small files of which little is in use is
// packed anew instead of being dragged along.
func TestPoorPacksAreLeft(t *testing.T) {
	from := filepath.Join(t.TempDir(), "from")
	content := tree{}
	for f := range 1000 {
		content[fmt.Sprintf("f%03d", f)] = file(noise(uint64(f), 1000))
	}
	mustWrite(t, from, content)
	b := openBucket(t)
	e := Open(b)
	first := mustSave(t, e, from, ID{1, 1}, nil).Ref
	for name := range content {
		if name > "f010" {
			if err := os.Remove(filepath.Join(from, name)); err != nil {
				t.Fatal(err)
			}
		}
	}
	second := mustSave(t, e, from, ID{1, 2}, &first).Ref
	third := mustSave(t, e, from, ID{1, 3}, &second).Ref
	m, _, err := e.(*engine).manifest(t.Context(), "inspect", third)
	if err != nil {
		t.Fatal(err)
	}
	held := int64(0)
	for _, p := range m.Packs {
		held += p.Size
	}
	if held > 20_000 {
		t.Errorf("11 kB of files hold %d bytes of packs", held)
	}
}

// TestAppendSharesChunks: what is appended to a large file costs its last
// chunk.
func TestAppendSharesChunks(t *testing.T) {
	from := t.TempDir()
	name := filepath.Join(from, "log")
	if err := os.WriteFile(name, []byte(noise(1, 17<<20)), 0o644); err != nil {
		t.Fatal(err)
	}
	e := Open(openBucket(t))
	first := mustSave(t, e, from, ID{1, 1}, nil)
	if err := os.WriteFile(name, []byte(noise(1, 17<<20)+"more"), 0o644); err != nil {
		t.Fatal(err)
	}
	second := mustSave(t, e, from, ID{1, 2}, &first.Ref)
	if first.BytesSent < 17<<20 || second.BytesSent > regionSize {
		t.Errorf("the first save sent %d bytes, the second %d", first.BytesSent, second.BytesSent)
	}
}

// peak is the largest heap seen while run runs, above that before it.
func peak(run func()) uint64 {
	runtime.GC()
	sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(sample)
	before, most := sample[0].Value.Uint64(), uint64(0)
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		ticker := time.NewTicker(time.Millisecond)
		defer ticker.Stop()
		for {
			metrics.Read(sample)
			most = max(most, sample[0].Value.Uint64())
			select {
			case <-stop:
				return
			case <-ticker.C:
			}
		}
	}()
	run()
	close(stop)
	<-stopped
	return most - min(before, most)
}

// peakRSS is the process's peak, in MiB.
func peakRSS() float64 {
	status, _ := os.ReadFile("/proc/self/status")
	for line := range strings.Lines(string(status)) {
		if rest, found := strings.CutPrefix(line, "VmHWM:"); found {
			kib, _ := strconv.ParseFloat(strings.Fields(rest)[0], 64)
			return kib / 1024
		}
	}
	return 0
}

// TestResidentMemoryIsBounded counts what is not in the heap too.
func TestResidentMemoryIsBounded(t *testing.T) {
	if err := os.WriteFile("/proc/self/clear_refs", []byte("5"), 0); err != nil {
		t.Skip("the peak is measured on Linux")
	}
	from, to := filepath.Join(memoryDir(t), "from"), filepath.Join(memoryDir(t), "to")
	if err := os.Mkdir(from, 0o755); err != nil {
		t.Fatal(err)
	}
	content := make([]byte, 4<<20)
	for i := range 100 {
		copy(content, noise(uint64(i), len(content)))
		if err := os.WriteFile(filepath.Join(from, fmt.Sprint(i)), content, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	e := Open(openBucket(t))
	debug.FreeOSMemory()
	_ = os.WriteFile("/proc/self/clear_refs", []byte("5"), 0)
	before := peakRSS()
	ref := mustSave(t, e, from, ID{1, 1}, nil).Ref
	mustRestore(t, e, ref, to)
	if used := peakRSS() - before; used > 170 {
		t.Errorf("%.0f MiB were used", used)
	}
	debug.FreeOSMemory()
	_ = os.WriteFile("/proc/self/clear_refs", []byte("5"), 0)
	if held := peakRSS() - before; held > 40 {
		t.Errorf("%.0f MiB are held afterwards", held)
	}
}

// TestMemoryIsBounded saves and restores a file of a gigabyte, of which 160 MB
// are not zero, in a small part of that.
func TestMemoryIsBounded(t *testing.T) {
	from, to := t.TempDir(), filepath.Join(t.TempDir(), "to")
	f, err := os.Create(filepath.Join(from, "big"))
	if err != nil {
		t.Fatal(err)
	}
	const length = 4 << 20
	block := []byte(noise(1, length))
	for i := range int64(40) {
		for at := 0; at < length; at += regionSize {
			block[at] = byte(i)
		}
		if _, err := f.WriteAt(block, i*6*length); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(f.Truncate(1<<30), f.Close()); err != nil {
		t.Fatal(err)
	}
	defer debug.SetGCPercent(debug.SetGCPercent(20))
	e := Open(openBucket(t))
	const bound = 100 << 20
	var result SaveResult
	if used := peak(func() { result = mustSave(t, e, from, ID{1, 1}, nil) }); used > bound {
		t.Errorf("the save took %d MiB", used>>20)
	}
	if result.Ref.Bytes != 1<<30 || result.BytesSent < 40*length {
		t.Errorf("saved %+v", result)
	}
	if used := peak(func() { mustRestore(t, e, result.Ref, to) }); used > bound {
		t.Errorf("the restore took %d MiB", used>>20)
	}
	info, err := os.Stat(filepath.Join(to, "big"))
	if err != nil || info.Size() != 1<<30 {
		t.Errorf("restored %v, %v", info, err)
	}
}

// TestRate: a bound on the sending is kept, and the progress adds up.
func TestRate(t *testing.T) {
	from := t.TempDir()
	mustWrite(t, from, tree{"a": file(noise(1, 1<<20)), "b": file(strings.Repeat("\x00", 5<<20))})
	var last Progress
	stages := map[Stage]bool{}
	result, err := Open(openBucket(t)).Save(t.Context(), from, SaveOptions{Key: "k", BytesPerSecond: 4 << 20, Progress: func(p Progress) {
		if p.BytesDone < last.BytesDone {
			t.Errorf("the progress went back from %+v to %+v", last, p)
		}
		last = p
		stages[p.Stage] = true
	}})
	if err != nil {
		t.Fatal(err)
	}
	if result.Elapsed.Milliseconds() < 200 {
		t.Errorf("a MiB at 4 MiB a second took %v", result.Elapsed)
	}
	if last.Stage != StageCommitted || last.BytesDone != 1<<20 || last.BytesShared != 5<<20 || last.BytesTotal != 6<<20 || last.Files != 2 {
		t.Errorf("the last progress is %+v", last)
	}
	if !stages[StageSending] {
		t.Errorf("stages: %v", stages)
	}
}
