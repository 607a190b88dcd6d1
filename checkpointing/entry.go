package checkpointing

import (
	"io/fs"
	"time"
)

// public is the entry for listings.
func (e *entry) public() Entry {
	mode := fs.FileMode(e.Mode) & fs.ModePerm
	switch e.Type {
	case typeDir:
		mode |= fs.ModeDir
	case typeLink:
		mode |= fs.ModeSymlink
	}
	return Entry{Path: string(e.Path), Mode: mode, Size: e.Size, Link: string(e.Link)}
}

func (e *entry) modTime() time.Time { return time.Unix(0, e.Modified) }
