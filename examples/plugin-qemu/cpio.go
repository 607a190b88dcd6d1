//go:build linux

package main

import (
	"fmt"
	"io"
	"os"
	"path"
)

// archive writes an initramfs: a cpio archive in the "newc" format, as the
// kernel's Documentation/driver-api/early-userspace/buffer-format.rst has it.
type archive struct {
	w     io.Writer
	inode int
	made  map[string]bool
	err   error
}

const (
	modeFolder = 0o040755
	modeFile   = 0o100755
)

func (a *archive) folder(name string) {
	if name == "." || name == "/" || a.made[name] {
		return
	}
	a.folder(path.Dir(name))
	if a.made == nil {
		a.made = map[string]bool{}
	}
	a.made[name] = true
	a.entry(name, modeFolder, 0, nil)
}

// file adds a file of this machine under a name.
func (a *archive) file(name, from string) {
	a.folder(path.Dir(name))
	file, err := os.Open(from)
	if err != nil {
		a.fail(err)
		return
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		a.fail(err)
		return
	}
	a.entry(name, modeFile, info.Size(), file)
}

// close ends the archive.
func (a *archive) close() error {
	a.entry("TRAILER!!!", 0, 0, nil)
	return a.err
}

func (a *archive) fail(err error) {
	if a.err == nil {
		a.err = err
	}
}

func (a *archive) entry(name string, mode int, size int64, content io.Reader) {
	if a.err != nil {
		return
	}
	a.inode++
	header := fmt.Sprintf("070701%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X",
		a.inode, mode, 0, 0, 1, 0, size, 0, 0, 0, 0, len(name)+1, 0)
	_, err := io.WriteString(a.w, header+name+"\x00"+padding(len(header)+len(name)+1))
	a.fail(err)
	if content == nil || a.err != nil {
		return
	}
	copied, err := io.CopyN(a.w, content, size)
	a.fail(err)
	_, err = io.WriteString(a.w, padding(int(copied%4)))
	a.fail(err)
}

// padding to a multiple of four.
func padding(length int) string { return "\x00\x00\x00"[:(4-length%4)%4] }
