package checkpointing

import (
	"io/fs"
	"time"
)

// look is what one look at a file tells.
type look struct {
	signature
	mode fs.FileMode
	// allocated is how many bytes of it lie on the disk; less than its size
	// when it has holes. It is the size where that is not known.
	allocated int64
	links     uint64
}

// signature tells whether a file may have changed between two looks.
type signature struct {
	device, inode uint64
	size          int64
	modified      int64 // nanoseconds since 1970
	changed       int64 // ctime; zero where there is none
}

// lookInfo is a look as a fs.FileInfo.
type lookInfo struct {
	name string
	look look
}

func (i *lookInfo) Name() string       { return i.name }
func (i *lookInfo) Size() int64        { return i.look.size }
func (i *lookInfo) Mode() fs.FileMode  { return i.look.mode }
func (i *lookInfo) ModTime() time.Time { return time.Unix(0, i.look.modified) }
func (i *lookInfo) IsDir() bool        { return i.look.mode.IsDir() }
func (i *lookInfo) Sys() any           { return nil }

// discard closes a file to which nothing was written.
func (f *localFile) discard() { _ = f.close() }
