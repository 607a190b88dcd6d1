package checkpointing

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/klauspost/compress/zstd"
	"github.com/zeebo/blake3"
)

const (
	// manifestVersion is the version that this engine writes and reads.
	manifestVersion = 1
	manifestMagic   = "spotrelay-manifest"
	// maxManifest bounds an unpacked manifest: some millions of files.
	maxManifest = 1 << 30
	// smallFrame is the size below which a packed frame need not tell its own.
	smallFrame = 1 << 10
)

// manifest is the root of a checkpoint. FORMAT.md describes its stored form.
type manifest struct {
	ID      ID        `json:"id"`
	Parent  *parent   `json:"parent,omitempty"`
	SavedAt time.Time `json:"saved_at"`
	Root    root      `json:"root"`
	Entries []entry   `json:"entries"` // in byte order of their paths
	Chunks  []chunk   `json:"chunks"`  // in the order of their first use
}

// parent names the checkpoint that was restored before this one was made.
type parent struct {
	Key    string `json:"key"`
	ID     ID     `json:"id"`
	Digest string `json:"digest,omitempty"`
}

// root is the saved directory itself.
type root struct {
	Mode     uint32 `json:"mode"`
	Modified int64  `json:"modified"`
}

type entryType string

const (
	typeFile entryType = "file"
	typeDir  entryType = "dir"
	typeLink entryType = "link"
)

// entry is one file, directory or link.
type entry struct {
	Path     text      `json:"path"` // slash-separated, below the root
	Type     entryType `json:"type"`
	Mode     uint32    `json:"mode,omitempty"`     // permission bits
	Modified int64     `json:"modified,omitempty"` // nanoseconds since 1970
	Size     int64     `json:"size,omitempty"`
	Link     text      `json:"link,omitempty"`
	Extents  []extent  `json:"extents,omitempty"` // in order; what they leave out is zero
	// Digest is that of a small file's content, by which the next save knows
	// it without unpacking anything.
	Digest *digest `json:"digest,omitempty"`
}

// extent says that Length bytes of a file at Offset are those of a chunk at
// From.
type extent struct {
	Offset int64 `json:"offset"`
	Chunk  int   `json:"chunk"` // index in Chunks
	From   int   `json:"from,omitempty"`
	Length int   `json:"length"`
}

// text is a string that need not be UTF-8, as file names on Unix need not be.
// One that is not is written as {"hex": "..."}.
type text string

// MarshalJSON implements json.Marshaler.
func (t text) MarshalJSON() ([]byte, error) {
	if utf8.ValidString(string(t)) {
		return json.Marshal(string(t))
	}
	return json.Marshal(map[string]string{"hex": hex.EncodeToString([]byte(t))})
}

// UnmarshalJSON implements json.Unmarshaler.
func (t *text) UnmarshalJSON(data []byte) error {
	if len(data) > 0 && data[0] == '"' {
		return json.Unmarshal(data, (*string)(t))
	}
	var form struct {
		Hex string `json:"hex"`
	}
	if err := json.Unmarshal(data, &form); err != nil {
		return err
	}
	raw, err := hex.DecodeString(form.Hex)
	*t = text(raw)
	return err
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
	return Ref{Key: key, ID: m.ID, Digest: digestOf(data).String(), Bytes: size, Files: files, Content: m.content(), SavedAt: m.SavedAt}
}

// encodeManifest is m's stored form: a line with the version and a checksum,
// then its JSON, packed.
func encodeManifest(m *manifest) ([]byte, error) {
	plain, err := manifestJSON(m)
	if err != nil {
		return nil, err
	}
	packed := sharedCodec().encoder.EncodeAll(plain, nil)
	return frameManifest(strconv.Itoa(manifestVersion), packed), nil
}

// manifestJSON is canonical: equal manifests have equal bytes.
func manifestJSON(m *manifest) ([]byte, error) {
	var buffer bytes.Buffer
	encoder := json.NewEncoder(&buffer)
	encoder.SetEscapeHTML(false)
	err := encoder.Encode(m)
	return buffer.Bytes(), err
}

// frameManifest puts the first line before a body. All versions have this
// line, so that a reader can tell a later version from a damaged object.
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
	plain, err := unpackManifest(body)
	if err != nil {
		return nil, err
	}
	return parseManifest(plain)
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

// parseManifest reads the JSON and checks every rule that restoring relies on.
func parseManifest(plain []byte) (*manifest, error) {
	decoder := json.NewDecoder(bytes.NewReader(plain))
	decoder.DisallowUnknownFields()
	m := new(manifest)
	if err := decoder.Decode(m); err != nil {
		return nil, err
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("something follows the manifest")
	}
	if err := m.check(); err != nil {
		return nil, err
	}
	return m, nil
}
