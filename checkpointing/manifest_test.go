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

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden files anew")

func sampleManifest() *manifest {
	content := digestOf([]byte("small"))
	return &manifest{
		ID:      ID{Attempt: 2, Sequence: 17},
		Parent:  &parent{Key: keyOf(ID{1, 5}), ID: ID{1, 5}, Digest: digestOf([]byte("parent")).String()},
		SavedAt: time.Date(2026, 8, 1, 12, 30, 15, 250_000_000, time.UTC),
		Root:    root{Mode: 0o755, Modified: 1_700_000_000_000_000_000},
		Entries: []entry{
			{Path: "bad\xffname", Type: typeFile, Mode: 0o600, Modified: -1},
			{Path: "latest", Type: typeLink, Link: "steps/10/<model>"},
			{Path: "steps", Type: typeDir, Mode: 0o750, Modified: 1_700_000_000_123_456_789},
			{Path: "steps/model", Type: typeFile, Mode: 0o644, Modified: 1, Size: 3 * chunkSize, Extents: []extent{
				{Offset: 0, Chunk: 0, Length: chunkSize}, {Offset: 2 * chunkSize, Chunk: 1, Length: chunkSize},
			}},
			{Path: "steps/small", Type: typeFile, Mode: 0o755, Modified: 2, Size: 5, Extents: []extent{{Chunk: 2, From: 3, Length: 5}}, Digest: &content},
		},
		Chunks: []chunk{
			{Digest: digestOf([]byte("one")), Size: chunkSize},
			{Digest: digestOf([]byte("two")), Size: chunkSize, Salt: "0123456789abcdef"},
			{Digest: digestOf([]byte("pack")), Size: 8},
		},
	}
}

// TestGolden: what earlier versions wrote is read, and the form does not
// change unnoticed. (The packed bytes may differ with the compressor, the JSON
// may not.)
func TestGolden(t *testing.T) {
	stored, plain := filepath.Join("testdata", "manifest-1.stored"), filepath.Join("testdata", "manifest-1.json")
	m := sampleManifest()
	text, err := manifestJSON(m)
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		data, err := encodeManifest(m)
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(os.MkdirAll("testdata", 0o755), os.WriteFile(stored, data, 0o644), os.WriteFile(plain, text, 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(plain)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), string(text)); d != "" {
		t.Errorf("the JSON has changed (-golden +now):\n%s", d)
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
	data, err := encodeManifest(sampleManifest())
	if err != nil {
		t.Fatal(err)
	}
	again, err := encodeManifest(sampleManifest())
	if err != nil || !bytes.Equal(data, again) {
		t.Errorf("equal manifests have different bytes (%v)", err)
	}
	var version errVersion
	if _, err := decodeManifest(frameManifest("2", []byte("anything"))); !errors.As(err, &version) {
		t.Errorf("format 2: %v", err)
	}
	changed := bytes.Replace(data, []byte("manifest 1 "), []byte("manifest 2 "), 1)
	if _, err := decodeManifest(changed); err == nil || errors.As(err, &version) {
		t.Errorf("a damaged version is taken for a later one: %v", err)
	}
}

// TestUnsafeManifests: what Save would never write is refused, and nothing of
// it reaches the disk.
func TestUnsafeManifests(t *testing.T) {
	c := chunk{Digest: digestOf([]byte("evil")), Size: 4}
	evil := func(path string) entry {
		return entry{Path: text(path), Type: typeFile, Mode: 0o644, Size: 4, Extents: []extent{{Length: 4}}}
	}
	links := func(path, target string) entry { return entry{Path: text(path), Type: typeLink, Link: text(target)} }
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
		"device":          {CodeUnsafe, []entry{{Path: "a", Type: "device"}}},
		"out of order":    {CodeCorrupt, []entry{evil("b"), evil("a")}},
		"chunk 7":         {CodeCorrupt, []entry{{Path: "a", Type: typeFile, Size: 4, Extents: []extent{{Chunk: 7, Length: 4}}}}},
		"chunk -1":        {CodeCorrupt, []entry{{Path: "a", Type: typeFile, Size: 4, Extents: []extent{{Chunk: -1, Length: 4}}}}},
		"past the chunk":  {CodeCorrupt, []entry{{Path: "a", Type: typeFile, Size: 4, Extents: []extent{{From: 1, Length: 4}}}}},
		"past the file":   {CodeCorrupt, []entry{{Path: "a", Type: typeFile, Size: 4, Extents: []extent{{Offset: 1, Length: 4}}}}},
		"before the file": {CodeCorrupt, []entry{{Path: "a", Type: typeFile, Size: 4, Extents: []extent{{Offset: -4, Length: 4}}}}},
		"overlap":         {CodeCorrupt, []entry{{Path: "a", Type: typeFile, Size: 8, Extents: []extent{{Length: 4}, {Offset: 3, Length: 4}}}}},
		"negative size":   {CodeCorrupt, []entry{{Path: "a", Type: typeFile, Size: -1}}},
		"endless":         {CodeCorrupt, []entry{{Path: "a", Type: typeFile, Size: 1 << 62}, {Path: "b", Type: typeFile, Size: 1 << 62}}},
		"dir of content":  {CodeCorrupt, []entry{{Path: "a", Type: typeDir, Size: 4}}},
	} {
		t.Run(name, func(t *testing.T) {
			b, parent := openBucket(t), t.TempDir()
			overwrite(t, b, c.key(), append([]byte{formPlain}, "evil"...))
			data, err := encodeManifest(&manifest{ID: ID{1, 1}, Entries: test.entries, Chunks: []chunk{c}})
			if err != nil {
				t.Fatal(err)
			}
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

// FuzzManifest: whatever a manifest says, reading it ends in an error or in
// one that keeps the rules and is written as it was read.
func FuzzManifest(f *testing.F) {
	plain, err := manifestJSON(sampleManifest())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(plain)
	f.Add([]byte(`{"id":{"attempt":1,"sequence":1},"entries":[{"path":"../x","type":"file"}],"chunks":[]}`))
	f.Add([]byte(`{"entries":[{"path":{"hex":"2e2e"},"type":"dir"}]}`))
	f.Add([]byte(`{"entries":[{"path":"a","type":"link","link":"a/../.."}]}`))
	f.Fuzz(func(t *testing.T, plain []byte) {
		packed := sharedCodec().encoder.EncodeAll(plain, nil)
		m, err := decodeManifest(frameManifest("1", packed))
		if err != nil {
			return
		}
		for i := range m.Entries {
			e := &m.Entries[i]
			if !filepath.IsLocal(string(e.Path)) || e.Path == "." {
				t.Errorf("the path %q was accepted", e.Path)
			}
			if e.Type == typeLink && !filepath.IsLocal(filepath.Join(filepath.Dir(string(e.Path)), string(e.Link))) {
				t.Errorf("the link %q to %q was accepted", e.Path, e.Link)
			}
			if strings.HasPrefix(string(e.Link), "/") {
				t.Errorf("the absolute link %q was accepted", e.Link)
			}
		}
		data, err := encodeManifest(m)
		if err != nil {
			t.Fatal(err)
		}
		if again, err := decodeManifest(data); err != nil || !reflect.DeepEqual(again, m) {
			t.Errorf("written and read again it is %+v, %v", again, err)
		}
	})
}

// FuzzStoredManifest feeds the reader what lies in the bucket.
func FuzzStoredManifest(f *testing.F) {
	data, err := encodeManifest(sampleManifest())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Add(frameManifest("1", nil))
	f.Add([]byte("spotrelay-manifest 1 "))
	f.Fuzz(func(t *testing.T, data []byte) {
		decodeManifest(data) // does not panic
		if newline := bytes.IndexByte(data, '\n'); newline >= 0 {
			decodeManifest(frameManifest("1", data[newline+1:])) // past the checksum
		}
	})
}
