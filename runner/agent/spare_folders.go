//go:build unix

package agent

import (
	"os"
	"path/filepath"
	"sync"
	"syscall"
)

// mostSpareFolders bounds how many folders are kept for the next attempts.
const mostSpareFolders = 256

// spareFolders keeps the folders of attempts that left nothing in them. Making
// folders and removing them is half of what a short task costs the agent: ext4
// looks for an inode that nobody has freed in the last minutes.
type spareFolders struct {
	mu   sync.Mutex
	dirs []string
	like os.FileInfo // what a new folder is like
}

// take puts a spare folder at dir, with an empty working directory in it; false
// when there is none.
func (s *spareFolders) take(dir string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.dirs) > 0 {
		last := len(s.dirs) - 1
		spare := s.dirs[last]
		s.dirs = s.dirs[:last]
		if os.Rename(spare, dir) == nil {
			return true
		}
	}
	return false
}

// keep moves an attempt's folder to spare when it is as it was made.
func (s *spareFolders) keep(dir, work, spare string) bool {
	if !s.holdsOnly(dir, filepath.Base(work)) || !s.holdsOnly(work, "") {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.dirs) >= mostSpareFolders || os.Rename(dir, spare) != nil {
		return false
	}
	s.dirs = append(s.dirs, spare)
	return true
}

// holdsOnly reports whether a folder has our owner and mode, and nothing in it
// but an entry of that name, or nothing at all.
func (s *spareFolders) holdsOnly(dir, name string) bool {
	info, err := os.Lstat(dir)
	if err != nil || s.like == nil || info.Mode() != s.like.Mode() || ownerOf(info) != ownerOf(s.like) {
		return false
	}
	folder, err := os.Open(dir)
	if err != nil {
		return false
	}
	defer folder.Close()
	names, _ := folder.Readdirnames(2)
	if name == "" {
		return len(names) == 0
	}
	return len(names) == 1 && names[0] == name
}

func ownerOf(info os.FileInfo) [2]uint32 {
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		return [2]uint32{stat.Uid, stat.Gid}
	}
	return [2]uint32{}
}
