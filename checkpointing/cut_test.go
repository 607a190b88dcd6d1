package checkpointing

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/spotrelay/spotrelay/checkpointing/bucket"
)

// cutsOf cuts data whole, by a plain loop.
func cutsOf(data []byte) []int {
	var lengths []int
	for len(data) > 0 {
		n := findCut(data[:min(len(data), cutMost)], 0)
		if n == 0 {
			n = min(len(data), cutMost)
		}
		lengths = append(lengths, n)
		data = data[n:]
	}
	return lengths
}

// TestCuts: chunks are within their bounds, do not depend on how much is read
// at once, and are found again behind an insertion.
func TestCuts(t *testing.T) {
	data := []byte(noise(3, 24<<20))
	lengths := cutsOf(data)
	for i, n := range lengths {
		if n > cutMost || n <= cutLeast && i < len(lengths)-1 {
			t.Errorf("a chunk of %d bytes", n)
		}
	}
	if len(lengths) < 12 || len(lengths) > 40 {
		t.Errorf("%d chunks of 24 MiB", len(lengths))
	}
	rapid.Check(t, func(t *rapid.T) {
		have := rapid.IntRange(1, cutMost).Draw(t, "have")
		looked := rapid.IntRange(0, have).Draw(t, "looked")
		whole := findCut(data[:cutMost], 0)
		switch part := findCut(data[:have], looked); {
		case looked >= whole: // before that it would have been found
		case have >= whole && part != whole, have < whole && part != 0:
			t.Fatalf("with %d bytes, of which %d were looked at, the cut is at %d, not %d", have, looked, part, whole)
		}
	})
	shifted := cutsOf(append([]byte("inserted"), data...))
	same := 0
	for i, j := len(lengths)-1, len(shifted)-1; i >= 0 && j >= 0 && lengths[i] == shifted[j]; i, j = i-1, j-1 {
		same++
	}
	if same < len(lengths)-3 {
		t.Errorf("%d of %d chunks are found again", same, len(lengths))
	}
}

// TestInsertions: the first insertion costs the file once more, the next ones
// little; a file that is written anew each time is not cut by its content.
func TestInsertions(t *testing.T) {
	from, b := t.TempDir(), openBucket(t)
	e, base := Open(b), (*Ref)(nil)
	name := filepath.Join(from, "log")
	content := noise(1, 20<<20)
	sequence := int64(0)
	save := func(e Engine) int64 {
		t.Helper()
		if err := os.WriteFile(name, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
		sequence++
		result := mustSave(t, e, from, ID{1, sequence}, base)
		base = &result.Ref
		to := filepath.Join(t.TempDir(), "to")
		mustRestore(t, Open(b), result.Ref, to)
		if got, err := os.ReadFile(filepath.Join(to, "log")); err != nil || string(got) != content {
			t.Fatalf("save %d is restored otherwise: %v", sequence, err)
		}
		return result.BytesSent
	}
	cut := func() bool { return manifestOf(t, b, *base).item("log").isCut() }
	if save(e); cut() {
		t.Error("a new file is cut by its content")
	}
	content = content[:5<<20] + "in the middle" + content[5<<20:]
	save(e)
	if !cut() {
		t.Fatal("an insertion was not noticed")
	}
	content = "a new beginning" + content
	if sent := save(e); sent > 5<<20 {
		t.Errorf("the second insertion cost %d bytes", sent)
	}
	content = content[:11<<20] + strings.Repeat("more ", 30_000) + content[11<<20:]
	if sent := save(Open(b)); sent > 5<<20 {
		t.Errorf("the third insertion, saved by another process, cost %d bytes", sent)
	}
	content += "appended"
	if sent := save(e); sent > 5<<20 {
		t.Errorf("an append cost %d bytes", sent)
	}
	content = noise(2, 20<<20)
	if save(e); cut() {
		t.Error("a file of other content is still cut by it")
	}
	content = noise(3, 20<<20)
	if save(e); cut() {
		t.Error("a file of other content is cut by it")
	}
}

// manifestOf is a manifest as it lies in a bucket.
func manifestOf(t *testing.T, b bucket.Bucket, ref Ref) *manifest {
	t.Helper()
	m, _, err := newEngine(b).(*engine).manifest(t.Context(), "inspect", ref)
	if err != nil {
		t.Fatal(err)
	}
	return m
}
