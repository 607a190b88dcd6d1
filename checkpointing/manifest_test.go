package checkpointing

import (
	"bytes"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write the golden files anew")

func sampleManifest() *manifest {
	return &manifest{
		ID:      ID{Attempt: 2, Sequence: 17},
		Parent:  &parent{Key: keyOf(ID{1, 5}), ID: ID{1, 5}, Digest: digestOf([]byte("parent")).String()},
		SavedAt: time.Date(2026, 8, 1, 12, 30, 15, 250_000_000, time.UTC),
		Root:    root{Mode: 0o755, Modified: 1_700_000_000_000_000_000},
		Entries: []entry{
			{Path: "bad\xffname", Type: typeFile, Mode: 0o600, Modified: -1},
			{Path: "latest", Type: typeLink, Link: "steps/10/<model>"},
			{Path: "steps", Type: typeDir, Mode: 0o750, Modified: 1_700_000_000_123_456_789},
			{Path: "steps/model", Type: typeFile, Mode: 0o644, Modified: 1, Size: 3 * regionSize, Extents: []extent{
				{Offset: 0, Chunk: 0}, {Offset: 2 * regionSize, Chunk: 1},
			}},
			{Path: "steps/model.copy", Type: typeFile, Mode: 0o644, Modified: 1, Size: 2 * regionSize, Extents: []extent{
				{Offset: 0, Chunk: 1}, {Offset: regionSize, Chunk: 0},
			}},
			{Path: "steps/small", Type: typeFile, Mode: 0o755, Modified: 2, Size: 5, Extents: []extent{{Chunk: 2}}},
		},
		Packs: []pack{
			{Name: digestOf([]byte("first")), Size: 2 * regionSize},
			{Name: digestOf([]byte("second")), Size: 1 << 10, Salt: "0123456789abcdef"},
		},
		Chunks: []chunk{
			{Digest: digestOf([]byte("one")), Size: regionSize, Offset: 1000, Stored: regionSize},
			{Digest: digestOf([]byte("two")), Size: regionSize, Stored: 1000},
			{Digest: digestOf([]byte("small")), Size: 5, Pack: 1, Offset: 7, Stored: 5},
		},
	}
}

// TestGolden: what earlier versions wrote is read, and the form does not
// change unnoticed. (The packed bytes may differ with the compressor, the
// columns may not.)
func TestGolden(t *testing.T) {
	stored, plain := filepath.Join("testdata", "manifest-2.stored"), filepath.Join("testdata", "manifest-2.columns")
	m := sampleManifest()
	columns := manifestColumns(m)
	if *update {
		if err := errors.Join(os.MkdirAll("testdata", 0o755), os.WriteFile(stored, encodeManifest(m), 0o644), os.WriteFile(plain, columns, 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(plain)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(want, columns) {
		t.Errorf("the columns have changed: golden\n%x\nnow\n%x", want, columns)
	}
	data, err := os.ReadFile(stored)
	if err != nil {
		t.Fatal(err)
	}
	got, err := decodeManifest(data)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, m) {
		t.Errorf("the golden manifest reads %+v", got)
	}
}

func TestManifestVersions(t *testing.T) {
	data := encodeManifest(sampleManifest())
	if !bytes.Equal(data, encodeManifest(sampleManifest())) {
		t.Error("equal manifests have different bytes")
	}
	var version errVersion
	for _, other := range []string{"1", "3"} {
		if _, err := decodeManifest(frameManifest(other, []byte("anything"))); !errors.As(err, &version) {
			t.Errorf("format %s: %v", other, err)
		}
	}
	changed := bytes.Replace(data, []byte("manifest 2 "), []byte("manifest 3 "), 1)
	if _, err := decodeManifest(changed); err == nil || errors.As(err, &version) {
		t.Errorf("a damaged version is taken for a later one: %v", err)
	}
}

// TestUnsafeManifests: what Save would never write is refused, and nothing of
// it reaches the disk.
func TestUnsafeManifests(t *testing.T) {
	c := chunk{Digest: digestOf([]byte("evil")), Size: 4, Stored: 4}
	p := pack{Name: digestOf([]byte("pack")), Size: 4}
	evil := func(path string) entry {
		return entry{Path: path, Type: typeFile, Mode: 0o644, Size: 4, Extents: []extent{{}}}
	}
	links := func(path, target string) entry { return entry{Path: path, Type: typeLink, Link: target} }
	for name, test := range map[string]struct {
		code    Code
		entries []entry
	}{
		"parent":          {CodeUnsafe, []entry{evil("../evil")}},
		"parent, deeper":  {CodeUnsafe, []entry{{Path: "a", Type: typeDir}, evil("a/../../evil")}},
		"parent itself":   {CodeUnsafe, []entry{evil("..")}},
		"root itself":     {CodeUnsafe, []entry{evil(".")}},
		"empty":           {CodeUnsafe, []entry{evil("")}},
		"absolute":        {CodeUnsafe, []entry{evil("/tmp/evil")}},
		"NUL":             {CodeUnsafe, []entry{evil("evil\x00")}},
		"empty element":   {CodeUnsafe, []entry{{Path: "a", Type: typeDir}, evil("a//evil")}},
		"twice":           {CodeUnsafe, []entry{evil("evil"), evil("evil")}},
		"through a link":  {CodeUnsafe, []entry{links("a", "b"), evil("a/evil")}},
		"link, then dir":  {CodeUnsafe, []entry{links("a", "."), {Path: "a", Type: typeDir}, evil("a/evil")}},
		"below a file":    {CodeUnsafe, []entry{evil("a"), evil("a/evil")}},
		"below nothing":   {CodeUnsafe, []entry{evil("a/evil")}},
		"absolute link":   {CodeUnsafe, []entry{links("a", "/etc")}},
		"link out":        {CodeUnsafe, []entry{links("a", "..")}},
		"link out, slyly": {CodeUnsafe, []entry{{Path: "a", Type: typeDir}, links("a/b", "c/../../..")}},
		"link by a name":  {CodeUnsafe, []entry{{Path: "a", Type: typeDir}, links("a/b", "c/../d")}},
		"link to nothing": {CodeUnsafe, []entry{links("a", "")}},
		"setuid":          {CodeUnsafe, []entry{{Path: "a", Type: typeFile, Mode: 0o4755}}},
		"device":          {CodeUnsafe, []entry{{Path: "a", Type: 9}}},
		"out of order":    {CodeCorrupt, []entry{evil("b"), evil("a")}},
		"chunk 7":         {CodeCorrupt, []entry{{Path: "a", Type: typeFile, Size: 4, Extents: []extent{{Chunk: 7}}}}},
		"chunk -1":        {CodeCorrupt, []entry{{Path: "a", Type: typeFile, Size: 4, Extents: []extent{{Chunk: -1}}}}},
		"past the file":   {CodeCorrupt, []entry{{Path: "a", Type: typeFile, Size: 4, Extents: []extent{{Offset: 1}}}}},
		"before the file": {CodeCorrupt, []entry{{Path: "a", Type: typeFile, Size: 4, Extents: []extent{{Offset: -4}}}}},
		"overlap":         {CodeCorrupt, []entry{{Path: "a", Type: typeFile, Size: 8, Extents: []extent{{}, {Offset: 3}}}}},
		"negative size":   {CodeCorrupt, []entry{{Path: "a", Type: typeFile, Size: -1}}},
		"endless":         {CodeCorrupt, []entry{{Path: "a", Type: typeFile, Size: 1 << 62}, {Path: "b", Type: typeFile, Size: 1 << 62}}},
		"dir of content":  {CodeCorrupt, []entry{{Path: "a", Type: typeDir, Size: 4}}},
	} {
		t.Run(name, func(t *testing.T) {
			b, parent := openBucket(t), t.TempDir()
			overwrite(t, b, p.key(), []byte("evil"))
			data := encodeManifest(&manifest{ID: ID{1, 1}, Entries: test.entries, Packs: []pack{p}, Chunks: []chunk{c}})
			overwrite(t, b, keyOf(ID{1, 1}), data)
			ref := Ref{Key: keyOf(ID{1, 1}), Digest: digestOf(data).String()}
			if err := Open(b).Restore(t.Context(), ref, filepath.Join(parent, "to"), RestoreOptions{}); !errors.Is(err, &Error{Code: test.code}) {
				t.Errorf("Restore: %v, want %s", err, test.code)
			}
			if _, _, err := Open(b).Inspect(t.Context(), ref); !errors.Is(err, &Error{Code: test.code}) {
				t.Errorf("Inspect: %v, want %s", err, test.code)
			}
			if entries, err := os.ReadDir(parent); err != nil || len(entries) != 0 {
				t.Errorf("the disk has %v, %v", entries, err)
			}
		})
	}
}

// TestManifestOfAnother: a manifest that was copied to another's key is
// noticed without its digest.
func TestManifestOfAnother(t *testing.T) {
	b := openBucket(t)
	first, second, _ := twoCheckpoints(t, b)
	overwrite(t, b, second.Key, read(t, b, first.Key))
	if _, _, err := Open(b).Inspect(t.Context(), Ref{Key: second.Key}); !errors.Is(err, &Error{Code: CodeCorrupt}) {
		t.Errorf("Inspect: %v", err)
	}
	if _, _, err := Open(b).Inspect(t.Context(), Ref{Key: first.Key, Digest: second.Digest}); !errors.Is(err, &Error{Code: CodeCorrupt}) {
		t.Errorf("Inspect with another's digest: %v", err)
	}
}

func TestManifestNames(t *testing.T) {
	for _, test := range []struct {
		name string
		id   ID
	}{{"000002-000000000017", ID{2, 17}}, {"000000-000000000000", ID{}}, {"1234567-1234567890123", ID{1234567, 1234567890123}}} {
		if got := ManifestName(test.id); got != test.name {
			t.Errorf("ManifestName(%v) = %s, want %s", test.id, got, test.name)
		}
		if id, ok := ParseManifestName(test.name); !ok || id != test.id {
			t.Errorf("ParseManifestName(%s) = %v, %v", test.name, id, ok)
		}
	}
	for _, name := range []string{"", "-", "2-17", "000002-17", "+00002-000000000017", "000002-000000000017x", "0000002-000000000017", "-00002-000000000017", "000002-00000000001７"} {
		if id, ok := ParseManifestName(name); ok {
			t.Errorf("ParseManifestName(%q) = %v", name, id)
		}
	}
}

// TestUnfitChunks: a chunk that does not lie in its pack is refused.
func TestUnfitChunks(t *testing.T) {
	p := pack{Name: digestOf([]byte("pack")), Size: 10}
	for name, test := range map[string]struct {
		p pack
		c chunk
	}{
		"past the pack":   {p, chunk{Size: 4, Stored: 4, Offset: 7}},
		"before the pack": {p, chunk{Size: 4, Stored: 4, Offset: -1}},
		"no bytes":        {p, chunk{}},
		"stored in none":  {p, chunk{Size: 4}},
		"stored in more":  {p, chunk{Size: 4, Stored: 5}},
		"too large":       {pack{Size: maxPack}, chunk{Size: maxChunk + 1, Stored: 1}},
		"another pack":    {p, chunk{Size: 4, Stored: 4, Pack: 1}},
		"pack below none": {p, chunk{Size: 4, Stored: 4, Pack: -1}},
		"empty pack":      {pack{}, chunk{Size: 4, Stored: 4}},
		"endless pack":    {pack{Size: maxPack + 1}, chunk{Size: 4, Stored: 4}},
		"salt":            {pack{Size: 10, Salt: "../../x"}, chunk{Size: 4, Stored: 4}},
		"long salt":       {pack{Size: 10, Salt: strings.Repeat("0", 65)}, chunk{Size: 4, Stored: 4}},
	} {
		_, err := decodeManifest(encodeManifest(&manifest{Packs: []pack{test.p}, Chunks: []chunk{test.c}}))
		if err == nil {
			t.Errorf("%s: it was accepted", name)
		}
	}
}

// FuzzColumns: whatever a manifest says, reading it ends in an error or in one
// that keeps the rules and is written as it was read.
func FuzzColumns(f *testing.F) {
	f.Add(manifestColumns(sampleManifest()))
	f.Add(manifestColumns(&manifest{}))
	f.Add(manifestColumns(&manifest{Entries: []entry{{Path: "../x", Type: typeFile}}}))
	f.Add(manifestColumns(&manifest{Entries: []entry{{Path: "a", Type: typeLink, Link: "a/../.."}}}))
	f.Fuzz(func(t *testing.T, columns []byte) {
		packed := sharedCodec().encoder.EncodeAll(columns, nil)
		m, err := decodeManifest(frameManifest("2", packed))
		if err != nil {
			return
		}
		for i := range m.Entries {
			e := &m.Entries[i]
			if !filepath.IsLocal(e.Path) || e.Path == "." {
				t.Errorf("the path %q was accepted", e.Path)
			}
			if e.Type == typeLink && !filepath.IsLocal(filepath.Join(filepath.Dir(e.Path), e.Link)) {
				t.Errorf("the link %q to %q was accepted", e.Path, e.Link)
			}
			if strings.HasPrefix(e.Link, "/") {
				t.Errorf("the absolute link %q was accepted", e.Link)
			}
		}
		if again, err := decodeManifest(encodeManifest(m)); err != nil || !reflect.DeepEqual(again, m) {
			t.Errorf("written and read again it is %+v, %v", again, err)
		}
	})
}

// FuzzStoredManifest feeds the reader what lies in the bucket.
func FuzzStoredManifest(f *testing.F) {
	f.Add(encodeManifest(sampleManifest()))
	f.Add(frameManifest("2", nil))
	f.Add([]byte("spotrelay-manifest 2 "))
	f.Fuzz(func(t *testing.T, data []byte) {
		decodeManifest(data) // does not panic
		if newline := bytes.IndexByte(data, '\n'); newline >= 0 {
			decodeManifest(frameManifest("2", data[newline+1:])) // past the checksum
		}
	})
}

// TestParent: a reader learns what a checkpoint went on from.
func TestParent(t *testing.T) {
	b := openBucket(t)
	first, second, _ := twoCheckpoints(t, b)
	for _, test := range []struct {
		ref    Ref
		parent string
	}{{first, ""}, {second, first.Key}} {
		got, _, err := Open(b).Inspect(t.Context(), Ref{Key: test.ref.Key})
		if err != nil || got != test.ref || got.Parent != test.parent {
			t.Errorf("%v: %+v, %v; want the parent %q", test.ref.ID, got, err, test.parent)
		}
	}
}
