package checkpointing

import (
	"errors"
	"io/fs"
	"os"

	"golang.org/x/sys/windows"
)

func isFull(err error) bool {
	return errors.Is(err, windows.ERROR_DISK_FULL) || errors.Is(err, windows.ERROR_HANDLE_DISK_FULL) || errors.Is(err, windows.ERROR_DISK_QUOTA_EXCEEDED)
}

// isReplaced: something that is no file, or a link, has taken its place.
func isReplaced(err error) bool { return errors.Is(err, windows.ERROR_DIRECTORY) }

// lookAt looks at an entry of a directory, at a link itself.
func lookAt(dir *os.File, name string) (look, error) {
	info, err := os.Lstat(dir.Name() + `\` + name)
	if err != nil {
		return look{}, err
	}
	return lookOf(info), nil
}

func lookOf(info fs.FileInfo) look {
	return look{
		signature: signature{size: info.Size(), modified: info.ModTime().UnixNano()},
		mode:      info.Mode(),
		allocated: info.Size(),
		links:     1,
	}
}
