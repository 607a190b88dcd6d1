//go:build unix

package agent

import (
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// racy is how new a file may be at a look for its times not to prove anything:
// it may change again within the same tick of the file system's clock.
const racy = 50 * time.Millisecond

// footprint is how a directory looked at a moment, without its content: enough
// to tell whether something changed, and how much.
type footprint struct {
	files map[string]filePrint
	// proof: a later footprint that is equal proves that nothing changed.
	proof bool
	took  time.Duration
}

type filePrint struct {
	size     int64
	modified int64
	changed  int64 // the inode's time
	inode    uint64
	mode     fs.FileMode
}

// look takes a directory's footprint. What vanishes or cannot be read while it
// looks makes it no proof.
func look(dir string) footprint {
	begun := time.Now()
	f := footprint{files: map[string]filePrint{}, proof: true}
	_ = filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		var info os.FileInfo
		if err == nil {
			info, err = entry.Info()
		}
		if err != nil {
			f.proof = false
			return nil //nolint:nilerr // what cannot be seen is no failure, it only proves nothing
		}
		p := filePrint{modified: info.ModTime().UnixNano(), mode: info.Mode()}
		if !info.IsDir() {
			p.size = info.Size()
		}
		if stat, ok := info.Sys().(*syscall.Stat_t); ok {
			p.inode = stat.Ino
			p.changed = changeTime(stat)
		}
		if begun.Sub(info.ModTime()) < racy || begun.Sub(time.Unix(0, p.changed)) < racy {
			f.proof = false
		}
		f.files[path] = p
		return nil
	})
	f.took = time.Since(begun)
	return f
}

// same reports whether nothing can have changed between two footprints.
func (f footprint) same(later footprint) bool {
	return f.proof && len(f.files) == len(later.files) && !f.differs(later)
}

func (f footprint) differs(later footprint) bool {
	for path, p := range later.files {
		if before, ok := f.files[path]; !ok || before != p {
			return true
		}
	}
	return false
}

// changedBytes is the size of the files that look otherwise than before.
func (f footprint) changedBytes(later footprint) int64 {
	var bytes int64
	for path, p := range later.files {
		if before, ok := f.files[path]; !ok || before != p {
			bytes += p.size
		}
	}
	return bytes
}
