package store

import (
	"io"
	"os"
)

// spill is a first-in first-out queue of bytes in a file. It is made at the
// first use and empties its file whenever all has been taken.
type spill struct {
	dir   string
	limit int64

	file     *os.File
	from, to int64   // what is in it
	notes    []int64 // offsets of bytes that are markers' and no log's: pairs from, to
	last     [2]int64
	err      error // the file cannot be read
}

// add appends data, whole, and reports whether it had room.
func (s *spill) add(data []byte) bool {
	if s.err != nil || s.to-s.from+int64(len(data)) > s.limit {
		return false
	}
	if s.file == nil {
		file, err := os.CreateTemp(s.dir, "spotrelay-log-*")
		if err != nil {
			return false
		}
		s.file = file
	}
	if _, err := s.file.WriteAt(data, s.to); err != nil {
		return false // a full disk, say; what is before is untouched
	}
	s.to += int64(len(data))
	return true
}

// note says that the last n bytes added are none of the log's own.
func (s *spill) note(n int) { s.notes = append(s.notes, s.to-int64(n), s.to) }

// take removes up to n bytes from the front; nil when it is empty or cannot be
// read, which err then tells.
func (s *spill) take(n int) []byte {
	if s.from == s.to || s.err != nil {
		return nil
	}
	data := make([]byte, min(int64(n), s.to-s.from))
	if _, err := s.file.ReadAt(data, s.from); err != nil && err != io.EOF {
		s.err = err
		return nil
	}
	s.last = [2]int64{s.from, s.from + int64(len(data))}
	s.from = s.last[1]
	if s.from == s.to {
		_ = s.file.Truncate(0) // room for others; what is left of it is harmless
		s.from, s.to = 0, 0
	}
	return data
}

// logBytes is how many of the n bytes last taken are the log's own.
func (s *spill) logBytes(n int) int64 {
	bytes := int64(n)
	for i := 0; i < len(s.notes); i += 2 {
		bytes -= max(0, min(s.notes[i+1], s.last[1])-max(s.notes[i], s.last[0]))
	}
	if s.from == s.to {
		s.notes = nil
	}
	return bytes
}

// forget gives up what it holds, and is how much of the log that was.
func (s *spill) forget() int64 {
	s.last = [2]int64{s.from, s.to}
	n := s.to - s.from
	s.from, s.to, s.err = 0, 0, nil
	return s.logBytes(int(n))
}

func (s *spill) remove() {
	if s.file != nil {
		s.file.Close()
		os.Remove(s.file.Name())
		s.file = nil
	}
	s.from, s.to = 0, 0
}
