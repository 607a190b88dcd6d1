package checkpointing

import (
	"context"
	"encoding/binary"
	"encoding/hex"

	"github.com/zeebo/blake3"

	"github.com/spotrelay/spotrelay/checkpointing/bucket"
)

// ContentOf is the digest of some of the files and links that a manifest
// names, in names, sizes and bytes and in which of them may be executed, and
// how many they are: two saves of the same files have the same one, whatever
// else was saved with them. Directories are nothing by themselves. Errors as of
// Engine.Restore. May be repeated.
func ContentOf(ctx context.Context, b bucket.Bucket, ref Ref, takes func(path string) bool) (digest string, files int, err error) {
	m, _, err := forManifests(b).manifest(ctx, "read", ref)
	if err != nil {
		return "", 0, err
	}
	digest = m.contentOf(func(e *entry) bool {
		taken := e.Type != typeDir && takes(e.Path)
		if taken {
			files++
		}
		return taken
	})
	return digest, files, nil
}

// Contents is the digest of each file and link that a manifest names, by path,
// made as that of ContentOf. Errors as of Engine.Restore. May be repeated.
func Contents(ctx context.Context, b bucket.Bucket, ref Ref) (map[string]string, error) {
	m, _, err := forManifests(b).manifest(ctx, "read", ref)
	if err != nil {
		return nil, err
	}
	digests := make(map[string]string, len(m.Entries))
	for i := range m.Entries {
		e := &m.Entries[i]
		if e.Type != typeDir {
			one := manifest{Entries: m.Entries[i : i+1], Chunks: m.Chunks}
			digests[e.Path] = one.content()
		}
	}
	return digests, nil
}

// Packs are the keys of the objects that a manifest names beside itself,
// with their sizes: with those and the manifest it can be restored. Errors as
// of Engine.Restore. May be repeated.
func Packs(ctx context.Context, b bucket.Bucket, ref Ref) (map[string]int64, error) {
	m, _, err := forManifests(b).manifest(ctx, "read", ref)
	if err != nil {
		return nil, err
	}
	packs := make(map[string]int64, len(m.Packs))
	for i := range m.Packs {
		packs[m.Packs[i].key()] = m.Packs[i].Size
	}
	return packs, nil
}

// content is the digest of what a restore would give, in names, kinds, sizes
// and bytes, and in which files may be executed: not of other modes, which
// differ with the umask of whoever saved, nor of times or the manifest's own
// place. Two saves of the same content have the same one. An empty directory
// has "".
func (m *manifest) content() string {
	if len(m.Entries) == 0 {
		return ""
	}
	return m.contentOf(func(*entry) bool { return true })
}

// executable marks the type of a file that its owner may execute.
const executable = 0x100

// contentOf is the digest of the entries that are taken.
func (m *manifest) contentOf(takes func(*entry) bool) string {
	h := blake3.New()
	row := make([]byte, 0, 4<<10) // a hash takes much at once sooner than little often
	number := func(n int64) { row = binary.LittleEndian.AppendUint64(row, uint64(n)) }
	field := func(data string) {
		number(int64(len(data)))
		row = append(row, data...)
	}
	for i := range m.Entries {
		e := &m.Entries[i]
		if !takes(e) {
			continue
		}
		kind := int64(e.Type)
		if e.Type == typeFile && e.Mode&0o100 != 0 {
			kind |= executable
		}
		field(e.Path)
		number(kind)
		field(e.Link)
		number(e.Size)
		number(int64(len(e.Extents)))
		for _, x := range e.Extents {
			number(x.Offset)
			number(int64(len(digest{})))
			row = append(row, m.Chunks[x.Chunk].Digest[:]...)
		}
		_, _ = h.Write(row) // it never fails
		row = row[:0]
	}
	return hex.EncodeToString(h.Sum(nil))
}
