//go:build unix

package agent

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// copyTree makes dst, which must not exist, a copy of the folder src: contents,
// modes, times, symbolic and hard links. Blocks are shared where the file
// system can do that. Other kinds of files (sockets, devices) are left out.
func copyTree(ctx context.Context, src, dst string) error {
	c := copier{ctx: ctx, linked: map[inode]string{}}
	return c.dir(src, dst)
}

type inode struct{ dev, ino uint64 }

type copier struct {
	ctx     context.Context
	linked  map[inode]string // first copy of a file with several names
	noClone bool             // the file system said that it cannot
}

func (c *copier) dir(src, dst string) error {
	if err := c.ctx.Err(); err != nil {
		return err
	}
	info, err := os.Lstat(src)
	if err != nil {
		return err
	}
	if err := os.Mkdir(dst, 0o700); err != nil {
		return err
	}
	entries, err := os.ReadDir(src)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if err := c.entry(filepath.Join(src, entry.Name()), filepath.Join(dst, entry.Name()), entry); err != nil {
			return err
		}
	}
	if err := os.Chmod(dst, info.Mode()&modeBits); err != nil {
		return err
	}
	return os.Chtimes(dst, time.Time{}, info.ModTime())
}

const modeBits = fs.ModePerm | fs.ModeSetuid | fs.ModeSetgid | fs.ModeSticky

func (c *copier) entry(src, dst string, entry fs.DirEntry) error {
	switch entry.Type() {
	case fs.ModeDir:
		return c.dir(src, dst)
	case fs.ModeSymlink:
		target, err := os.Readlink(src)
		if err != nil {
			return err
		}
		return os.Symlink(target, dst)
	case 0:
		return c.file(src, dst, entry)
	}
	return nil
}

func (c *copier) file(src, dst string, entry fs.DirEntry) error {
	info, err := entry.Info()
	if err != nil {
		return err
	}
	if stat, ok := info.Sys().(*syscall.Stat_t); ok && stat.Nlink > 1 {
		key := inode{uint64(stat.Dev), stat.Ino}
		if first, ok := c.linked[key]; ok {
			return os.Link(first, dst)
		}
		c.linked[key] = dst
	}
	if err := c.content(src, dst); err != nil {
		return fmt.Errorf("copying %s: %w", src, err)
	}
	if err := os.Chmod(dst, info.Mode()&modeBits); err != nil {
		return err
	}
	return os.Chtimes(dst, time.Time{}, info.ModTime())
}

func (c *copier) content(src, dst string) error {
	from, err := os.Open(src)
	if err != nil {
		return err
	}
	defer from.Close()
	to, err := os.OpenFile(dst, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	if c.noClone || cloneFile(to, from) != nil {
		c.noClone = true
		if _, err := io.Copy(to, from); err != nil {
			to.Close()
			return err
		}
	}
	return to.Close()
}

// leastFree is the room, in bytes, below which a volume counts as full.
const leastFree = 1 << 20

// volumeFull reports whether the volume of path has no room or no inodes left.
func volumeFull(path string) bool {
	var s unix.Statfs_t
	if unix.Statfs(path, &s) != nil {
		return false
	}
	return uint64(s.Bavail)*uint64(s.Bsize) < leastFree || s.Files > 0 && s.Ffree == 0
}
