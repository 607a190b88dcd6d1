package checkpointing

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/zeebo/blake3"
)

const (
	// manifestVersion is the version that this engine writes and reads.
	manifestVersion = 2
	manifestMagic   = "spotrelay-manifest"
	// maxManifest bounds an unpacked manifest: some millions of files.
	maxManifest = 1 << 30
	// smallFrame is the size below which a packed frame need not tell its own.
	smallFrame = 1 << 10
)

// manifest is the root of a checkpoint. FORMAT.md describes its stored form.
type manifest struct {
	ID      ID
	Parent  *parent
	SavedAt time.Time
	Root    root
	Entries []entry // in byte order of their paths
	Packs   []pack
	Chunks  []chunk // in the order of their first use
}

// parent names the checkpoint that was restored before this one was made.
type parent struct {
	Key    string
	ID     ID
	Digest string
}

// root is the saved directory itself.
type root struct {
	Mode     uint32
	Modified int64
}

type entryType byte

const (
	typeFile entryType = 1
	typeDir  entryType = 2
	typeLink entryType = 3
)

// entry is one file, directory or link.
type entry struct {
	Path     string // slash-separated, below the root
	Type     entryType
	Mode     uint32 // permission bits
	Modified int64  // nanoseconds since 1970
	Size     int64
	Link     string
	Extents  []extent // in order; what they leave out is zero
}

// extent says that a file has a whole chunk at Offset.
type extent struct {
	Offset int64
	Chunk  int // index in Chunks
}

// public is the entry for listings.
func (e *entry) public() Entry {
	mode := fs.FileMode(e.Mode) & fs.ModePerm
	switch e.Type {
	case typeDir:
		mode |= fs.ModeDir
	case typeLink:
		mode |= fs.ModeSymlink
	}
	return Entry{Path: e.Path, Mode: mode, Size: e.Size, Link: e.Link}
}

// totals counts the files and their bytes.
func (m *manifest) totals() (files int, size int64) {
	for i := range m.Entries {
		if m.Entries[i].Type == typeFile {
			files++
			size += m.Entries[i].Size
		}
	}
	return files, size
}

// ref points at the manifest, stored as data under key.
func (m *manifest) ref(key string, data []byte) Ref {
	files, size := m.totals()
	ref := Ref{Key: key, ID: m.ID, Digest: digestOf(data).String(), Bytes: size, Files: files, Content: m.content(), SavedAt: m.SavedAt}
	if m.Parent != nil {
		ref.Parent = m.Parent.Key
	}
	return ref
}

// encodeManifest is m's stored form: a line with the version and a checksum,
// then its columns, packed.
func encodeManifest(m *manifest) []byte {
	packed := sharedCodec().encoder.EncodeAll(manifestColumns(m), nil)
	return frameManifest(strconv.Itoa(manifestVersion), packed)
}

// frameManifest puts the first line before a body. All versions have this
// line, so that a reader can tell another version from a damaged object.
func frameManifest(version string, body []byte) []byte {
	line := fmt.Sprintf("%s %s %s\n", manifestMagic, version, manifestSum(version, body))
	return append([]byte(line), body...)
}

func manifestSum(version string, body []byte) string {
	h := blake3.New()
	_, _ = h.WriteString(version + "\n") // a hash never fails
	_, _ = h.Write(body)
	return hex.EncodeToString(h.Sum(nil))
}

// errVersion: the manifest is whole and of another version.
type errVersion string

func (v errVersion) Error() string {
	return fmt.Sprintf("the manifest has format %s and this program knows format %d", string(v), manifestVersion)
}

// decodeManifest reads and checks a stored manifest. The error is an
// errVersion, an errUnsafe, or says in which way the object is damaged.
func decodeManifest(data []byte) (*manifest, error) {
	body, err := unframeManifest(data)
	if err != nil {
		return nil, err
	}
	columns, err := unpackManifest(body)
	if err != nil {
		return nil, err
	}
	m, err := readColumns(columns)
	if err != nil {
		return nil, err
	}
	if err := m.check(); err != nil {
		return nil, err
	}
	return m, nil
}

func unframeManifest(data []byte) ([]byte, error) {
	newline := bytes.IndexByte(data[:min(len(data), 256)], '\n')
	if newline < 0 {
		return nil, errors.New("it does not begin as a manifest does")
	}
	fields := strings.Split(string(data[:newline]), " ")
	if len(fields) != 3 || fields[0] != manifestMagic {
		return nil, errors.New("it does not begin as a manifest does")
	}
	body := data[newline+1:]
	if manifestSum(fields[1], body) != fields[2] {
		return nil, errors.New("its checksum does not agree")
	}
	if fields[1] != strconv.Itoa(manifestVersion) {
		return nil, errVersion(fields[1])
	}
	return body, nil
}

func unpackManifest(body []byte) ([]byte, error) {
	var header zstd.Header
	if err := header.Decode(body); err != nil {
		return nil, err
	}
	size := header.FrameContentSize
	if !header.HasFCS {
		size = smallFrame
	}
	// The second bound keeps a small object from asking for much memory.
	if size > maxManifest || size > smallFrame+uint64(len(body))*4096 {
		return nil, fmt.Errorf("it would unpack to %d bytes", size)
	}
	return sharedCodec().decoder.DecodeAll(body, make([]byte, 0, size))
}
