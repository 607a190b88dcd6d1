package checkpointing

import (
	"bytes"
	"errors"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spotrelay/spotrelay/checkpointing/bucket"
	"github.com/spotrelay/spotrelay/checkpointing/bucket/buckettest"
)

// twoCheckpoints saves two states and returns the objects that only the second
// has: its manifest, a pack of nothing but a part of a large file, and one that
// has the rest of it, small files, and something compressed.
func twoCheckpoints(t *testing.T, b bucket.Bucket) (first, second Ref, own []string) {
	t.Helper()
	work := t.TempDir()
	one := tree{"model": file(noise(1, 2<<20)), "a": file("small one")}
	two := maps.Clone(one)
	two["model2"] = file(noise(2, packSize+1<<20))
	two["text"] = file(strings.Repeat("compressible ", 200_000))
	two["b"] = file("small two")
	mustWrite(t, filepath.Join(work, "1"), one)
	mustWrite(t, filepath.Join(work, "2"), two)
	e := Open(b)
	first = mustSave(t, e, filepath.Join(work, "1"), ID{1, 1}, nil).Ref
	before := objects(t, b, "")
	second = mustSave(t, e, filepath.Join(work, "2"), ID{1, 2}, &first).Ref
	for key := range objects(t, b, "") {
		if _, old := before[key]; !old {
			own = append(own, key)
		}
	}
	if len(own) != 3 {
		t.Fatalf("the second checkpoint has %d objects of its own: %q", len(own), own)
	}
	return first, second, own
}

func read(t *testing.T, b bucket.Bucket, key string) []byte {
	t.Helper()
	data, err := newEngine(b).(*engine).get(t.Context(), key, 1<<30)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func overwrite(t *testing.T, b bucket.Bucket, key string, data []byte) {
	t.Helper()
	if _, err := b.Put(t.Context(), key, bytes.NewReader(data), bucket.Condition{}); err != nil {
		t.Fatal(err)
	}
}

// TestDamage damages each kind of object in each kind of way: the error names
// the object, and the older checkpoint is restored.
func TestDamage(t *testing.T) {
	b := openBucket(t)
	first, second, own := twoCheckpoints(t, b)
	to := filepath.Join(t.TempDir(), "to")
	for _, key := range own {
		whole := read(t, b, key)
		ways := map[string]func([]byte) []byte{
			"emptied":   func([]byte) []byte { return nil },
			"shortened": func(d []byte) []byte { return d[:len(d)-1] },
			"lengthened": func(d []byte) []byte {
				return append(d, 0)
			},
			"zeroed": func(d []byte) []byte { clear(d); return d },
		}
		bits := []int{0, 1, 7, 8, 170, 8*19 + 1, 8*len(whole) - 1, 4 * len(whole)}
		for range flips() { // anywhere: in the first line, each of the columns, any chunk
			bits = append(bits, rand.IntN(8*len(whole)))
		}
		for _, bit := range bits {
			ways["bit "+ManifestName(ID{0, int64(bit)})] = buckettest.FlipBit(bit)
		}
		for way, change := range ways {
			if err := buckettest.Damage(t.Context(), b, key, change); err != nil {
				t.Fatal(err)
			}
			// With the digest known or not.
			for _, ref := range []Ref{second, {Key: second.Key}} {
				err := Open(b).Restore(t.Context(), ref, to, RestoreOptions{})
				var e *Error
				if !errors.As(err, &e) || e.Code != CodeCorrupt || e.What != key {
					t.Fatalf("%s %s: Restore: %v", key, way, err)
				}
			}
			ref, damaged, err := RestoreNewest(t.Context(), Open(b), series, to, RestoreOptions{})
			if err != nil || ref != first || len(damaged) != 1 || damaged[0].Ref.Key != second.Key {
				t.Fatalf("%s %s: RestoreNewest: %v, %v, %v", key, way, ref.ID, damaged, err)
			}
			overwrite(t, b, key, whole)
		}
	}
	if ref, damaged, err := RestoreNewest(t.Context(), Open(b), series, to, RestoreOptions{}); err != nil || ref != second || damaged != nil {
		t.Errorf("with all objects whole again: %v, %v, %v", ref.ID, damaged, err)
	}
}

// flips is how many bits are turned at random in each object.
func flips() int {
	if os.Getenv("SPOTRELAY_SOAK") != "" {
		return 500
	}
	return 6
}

// TestMissing takes each object away.
func TestMissing(t *testing.T) {
	b := openBucket(t)
	first, second, own := twoCheckpoints(t, b)
	to := filepath.Join(t.TempDir(), "to")
	for _, key := range own {
		whole := read(t, b, key)
		if err := b.Delete(t.Context(), key); err != nil {
			t.Fatal(err)
		}
		err := Open(b).Restore(t.Context(), second, to, RestoreOptions{})
		var e *Error
		if !errors.As(err, &e) || e.Code != CodeMissing || e.What != key {
			t.Errorf("without %s: %v", key, err)
		}
		if ref, _, err := Newest(t.Context(), Open(b), series); err != nil || ref != first {
			t.Errorf("without %s the newest is %v, %v", key, ref.ID, err)
		}
		overwrite(t, b, key, whole)
	}
}

// TestAllDamaged: a series whose checkpoints are all damaged is not an empty
// one, and a later program's is not passed over.
func TestAllDamaged(t *testing.T) {
	b := openBucket(t)
	to := filepath.Join(t.TempDir(), "to")
	if _, _, err := RestoreNewest(t.Context(), Open(b), series, to, RestoreOptions{}); !errors.Is(err, &Error{Code: CodeMissing}) {
		t.Errorf("an empty series: %v", err)
	}
	first, second, _ := twoCheckpoints(t, b)
	for _, ref := range []Ref{first, second} {
		if err := buckettest.Damage(t.Context(), b, ref.Key, buckettest.FlipBit(1000)); err != nil {
			t.Fatal(err)
		}
	}
	_, damaged, err := RestoreNewest(t.Context(), Open(b), series, to, RestoreOptions{})
	if !errors.Is(err, &Error{Code: CodeCorrupt}) || len(damaged) != 2 {
		t.Errorf("all damaged: %v, %v", damaged, err)
	}
	overwrite(t, b, second.Key, frameManifest("3", []byte("whatever comes")))
	if _, _, err := Newest(t.Context(), Open(b), series); !errors.Is(err, &Error{Code: CodeVersion}) {
		t.Errorf("a later format: %v", err)
	}
}

// TestDamagedChunkIsNotShared: whoever found a chunk damaged writes it anew
// when the same content is saved again, though its base has it.
func TestDamagedChunkIsNotShared(t *testing.T) {
	b := openBucket(t)
	_, second, own := twoCheckpoints(t, b)
	from, to := filepath.Join(t.TempDir(), "from"), filepath.Join(t.TempDir(), "to")
	mustRestore(t, Open(b), second, from)
	for _, key := range own {
		if strings.HasPrefix(key, dataPrefix) {
			if err := buckettest.Damage(t.Context(), b, key, buckettest.FlipBit(99)); err != nil {
				t.Fatal(err)
			}
		}
	}
	e := Open(b)
	for range own { // each restore finds at least one of them
		if err := e.Restore(t.Context(), second, to, RestoreOptions{}); !errors.Is(err, &Error{Code: CodeCorrupt}) {
			t.Fatalf("Restore: %v", err)
		}
		result, err := e.Save(t.Context(), from, SaveOptions{Key: "outputs/o" + ManifestName(ID{0, int64(len(objects(t, b, "outputs/")))}), Base: &second})
		if err != nil {
			t.Fatal(err)
		}
		if Open(b).Restore(t.Context(), result.Ref, to, RestoreOptions{}) == nil {
			return
		}
	}
	t.Error("a save still relies on a damaged chunk")
}

// TestBrokenBase: a save goes on without a base that cannot be read.
func TestBrokenBase(t *testing.T) {
	b := openBucket(t)
	first, _, _ := twoCheckpoints(t, b)
	if err := buckettest.Damage(t.Context(), b, first.Key, buckettest.FlipBit(1000)); err != nil {
		t.Fatal(err)
	}
	from, to := filepath.Join(t.TempDir(), "from"), filepath.Join(t.TempDir(), "to")
	mustWrite(t, from, state(2))
	result := mustSave(t, Open(b), from, ID{1, 3}, &first)
	mustRestore(t, Open(b), result.Ref, to)
	mustHold(t, to, state(2))
}

// TestFullBucket runs out of room at each possible byte count.
func TestFullBucket(t *testing.T) {
	b := openBucket(t)
	first, second, _ := twoCheckpoints(t, b)
	from, to := filepath.Join(t.TempDir(), "from"), filepath.Join(t.TempDir(), "to")
	mustWrite(t, from, state(5))
	for room := int64(0); ; room += 200_000 {
		_, err := Open(buckettest.CutAfterBytes(b, room)).Save(t.Context(), from, SaveOptions{Key: keyOf(ID{1, 3}), ID: ID{1, 3}, Base: &first})
		if err == nil {
			if room == 0 {
				t.Fatal("a save needed no room")
			}
			break
		}
		if !errors.Is(err, bucket.ErrFull) {
			t.Fatalf("with room for %d bytes: %v", room, err)
		}
		if ref, _, err := Newest(t.Context(), Open(b), series); err != nil || ref != second {
			t.Fatalf("with room for %d bytes the newest is %v, %v", room, ref.ID, err)
		}
	}
	if _, _, err := RestoreNewest(t.Context(), Open(b), series, to, RestoreOptions{}); err != nil {
		t.Fatal(err)
	}
	mustHold(t, to, state(5))
}

// TestFlakyBucket: single failures that may pass cost nothing but time.
func TestFlakyBucket(t *testing.T) {
	b := openBucket(t)
	flaky := buckettest.FailNth(b, buckettest.Put, 2, bucket.CodeUnavailable)
	flaky = buckettest.FailNth(flaky, buckettest.Get, 3, bucket.CodeUnavailable)
	from, to := filepath.Join(t.TempDir(), "from"), filepath.Join(t.TempDir(), "to")
	mustWrite(t, from, state(5))
	e := Open(flaky)
	mustRestore(t, e, mustSave(t, e, from, ID{1, 1}, nil).Ref, to)
	mustHold(t, to, state(5))
	_, err := Open(buckettest.FailNth(b, buckettest.Put, 1, bucket.CodeDenied)).Save(t.Context(), from, SaveOptions{Key: "other"})
	if !errors.Is(err, bucket.ErrDenied) {
		t.Errorf("a denied write: %v", err)
	}
}
