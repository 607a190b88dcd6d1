package checkpointing

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spotrelay/spotrelay/checkpointing/bucket/buckettest"
)

func TestRetention(t *testing.T) {
	noon := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	var series []stored
	for n, minutes := range []int{0, 20, 50, 70, 130, 150, 155} {
		series = append(series, stored{Ref{ID: ID{1, int64(n)}}, noon.Add(time.Duration(minutes) * time.Minute)})
	}
	for _, test := range []struct {
		keep Retention
		want string
	}{
		{Retention{}, "......K"},
		{Retention{Last: 3}, "....KKK"},
		{Retention{Last: 100}, "KKKKKKK"},
		{Retention{Every: time.Hour}, "..KK..K"},
		{Retention{Last: 2, Every: time.Hour}, "..KK.KK"},
		{Retention{Last: 1, Every: 24 * time.Hour}, "......K"},
	} {
		got := ""
		for _, kept := range test.keep.choose(series) {
			got += map[bool]string{true: "K", false: "."}[kept]
		}
		if got != test.want {
			t.Errorf("%+v keeps %s, want %s", test.keep, got, test.want)
		}
	}
	if kept := (Retention{}).choose(nil); len(kept) != 0 {
		t.Errorf("of nothing it keeps %v", kept)
	}
}

func TestPrune(t *testing.T) {
	b, from := openBucket(t), t.TempDir()
	e, base := Open(b), (*Ref)(nil)
	for n := range int64(5) {
		if err := os.WriteFile(filepath.Join(from, "x"), []byte(noise(uint64(n), 1000)), 0o644); err != nil {
			t.Fatal(err)
		}
		ref := mustSave(t, e, from, ID{1, n}, base).Ref
		base = &ref
	}
	opts := PruneOptions{Prefix: series, Keep: Retention{Last: 2}, Pinned: []string{keyOf(ID{1, 1})}, DryRun: true}
	want := []string{keyOf(ID{1, 0}), keyOf(ID{1, 2})}
	for _, dry := range []bool{true, false} {
		opts.DryRun = dry
		result, err := e.Prune(t.Context(), opts)
		if err != nil || len(result.Removed) != 2 || result.Removed[0].Key != want[0] || result.Removed[1].Key != want[1] || len(result.Kept) != 3 {
			t.Fatalf("dry %v: %+v, %v", dry, result, err)
		}
	}
	if left := objects(t, b, series); len(left) != 3 {
		t.Errorf("left: %v", left)
	}
	if result, err := e.Collect(t.Context(), CollectOptions{Roots: allCheckpoints(b)}); err != nil || result.Removed != 2 {
		t.Errorf("collected %+v, %v", result, err)
	}
	mustRestore(t, Open(b), Ref{Key: keyOf(ID{1, 1})}, filepath.Join(t.TempDir(), "to"))
}

// TestVerify names all that is damaged, and nothing else.
func TestVerify(t *testing.T) {
	b := openBucket(t)
	first, second, own := twoCheckpoints(t, b)
	for _, ref := range []Ref{first, second} {
		result, err := Open(b).Verify(t.Context(), Ref{Key: ref.Key}, VerifyOptions{})
		if err != nil || len(result.Damaged) != 0 || result.Ref != ref || result.Chunks == 0 || result.Packs == 0 {
			t.Fatalf("whole: %+v, %v", result, err)
		}
	}
	broken := map[string]bool{}
	for _, key := range own {
		if !strings.HasPrefix(key, dataPrefix) {
			continue
		}
		broken[key] = true
		if err := b.Delete(t.Context(), key); err != nil {
			t.Fatal(err)
		}
	}
	shared := ""
	for key := range objects(t, b, dataPrefix) {
		shared = key
	}
	broken[shared] = true
	if err := buckettest.Damage(t.Context(), b, shared, buckettest.FlipBit(12345)); err != nil {
		t.Fatal(err)
	}
	result, err := Open(b).Verify(t.Context(), second, VerifyOptions{})
	if err != nil || len(result.Damaged) != len(broken) {
		t.Fatalf("damaged: %v, %v; want %v", result.Damaged, err, broken)
	}
	for _, fault := range result.Damaged {
		var e *Error
		if !errors.As(fault, &e) || !broken[e.What] {
			t.Errorf("%v is not damaged", fault)
		}
	}
	if err := buckettest.Damage(t.Context(), b, second.Key, buckettest.FlipBit(999)); err != nil {
		t.Fatal(err)
	}
	result, err = Open(b).Verify(t.Context(), second, VerifyOptions{})
	var e *Error
	if err != nil || len(result.Damaged) != 1 || !errors.As(result.Damaged[0], &e) || e.What != second.Key {
		t.Errorf("a damaged manifest: %v, %v", result.Damaged, err)
	}
}

// TestManySaves: a row of saves with small changes leaves no tail of packs, and
// none of them sends much more than what changed.
func TestManySaves(t *testing.T) {
	t.Parallel()
	b, from := openBucket(t), t.TempDir()
	e, base := Open(b), (*Ref)(nil)
	const files, size = 300, 20_000
	write := func(i, version int) {
		name := filepath.Join(from, fmt.Sprintf("f%03d", i))
		if err := os.WriteFile(name, []byte(noise(uint64(version*files+i), size)), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for i := range files {
		write(i, 0)
	}
	sent := int64(0)
	const rows = 150
	for version := 1; version <= rows; version++ {
		for i := range 3 {
			write((version*7+i*101)%files, version)
		}
		result := mustSave(t, e, from, ID{1, int64(version)}, base)
		base = &result.Ref
		if version > 1 {
			sent += result.BytesSent
		}
		if n := len(manifestOf(t, b, result.Ref).Packs); n > 40 {
			t.Fatalf("save %d names %d packs", version, n)
		}
	}
	if changed := int64((rows - 1) * 3 * size); sent > 5*changed {
		t.Errorf("sent %d bytes, %d had changed", sent, changed)
	}
	write(0, rows+1)
	urgent, err := e.Save(t.Context(), from, SaveOptions{Key: keyOf(ID{2, 1}), ID: ID{2, 1}, Base: base, Urgent: true})
	if err != nil || urgent.BytesSent > size+100 {
		t.Errorf("an urgent save sent %d bytes, %v", urgent.BytesSent, err)
	}
	base = &urgent.Ref
	m := manifestOf(t, b, *base)
	held := int64(0)
	for _, p := range m.Packs {
		held += p.Size
	}
	if held > 3*files*size {
		t.Errorf("%d bytes of files hold %d bytes of packs", files*size, held)
	}
	mustRestore(t, Open(b), *base, filepath.Join(t.TempDir(), "to"))
}
