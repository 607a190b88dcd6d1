package archive

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"hash"
	"io"
	"os"
)

// inMemory is how much of an object is held in memory; more of it goes into a
// temporary file. Packs have at most 12 MiB.
const inMemory = 16 << 20

// spool is an object on its way, with its digest.
type spool struct {
	memory bytes.Buffer
	file   *os.File
	size   int64
	hash   hash.Hash
}

// take reads an object whole.
func take(from io.Reader) (*spool, error) {
	s := &spool{hash: sha256.New()}
	from = io.TeeReader(from, s.hash)
	n, err := io.Copy(&s.memory, io.LimitReader(from, inMemory))
	s.size = n
	if err != nil || n < inMemory {
		return s, err
	}
	if s.file, err = os.CreateTemp("", "spotrelay-archive-*"); err != nil {
		return s, err
	}
	if _, err := s.memory.WriteTo(s.file); err != nil {
		return s, err
	}
	n, err = io.Copy(s.file, from)
	s.size += n
	return s, err
}

func (s *spool) digest() string { return hex.EncodeToString(s.hash.Sum(nil)) }

// reader reads it from its beginning.
func (s *spool) reader() (io.ReadSeeker, error) {
	if s.file == nil {
		return bytes.NewReader(s.memory.Bytes()), nil
	}
	_, err := s.file.Seek(0, io.SeekStart)
	return s.file, err
}

// close gives up what it holds. May be repeated, and called on nil.
func (s *spool) close() {
	if s == nil || s.file == nil {
		return
	}
	_ = s.file.Close()
	_ = os.Remove(s.file.Name())
	s.file = nil
}
