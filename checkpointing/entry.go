package checkpointing

import "io/fs"

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
