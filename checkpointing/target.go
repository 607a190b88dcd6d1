package checkpointing

import (
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
)

// target is the directory of a restore with the names beside it:
//
//	.NAME.spotrelay-restore   what is being written
//	.NAME.spotrelay-before    what was there, moved aside
//
// A restore that is killed leaves one of them behind; the next one begins by
// repairing that.
type target struct {
	dir    string
	staged string
	before string
}

func newTarget(dir string) *target {
	parent, name := filepath.Split(filepath.Clean(dir))
	return &target{
		dir:    dir,
		staged: filepath.Join(parent, "."+name+".spotrelay-restore"),
		before: filepath.Join(parent, "."+name+".spotrelay-before"),
	}
}

// repair brings the directory back if a restore was killed between moving it
// aside and putting the new one in place, and removes what is left over.
func (t *target) repair() error {
	_, err := os.Lstat(t.dir)
	if errors.Is(err, fs.ErrNotExist) {
		err = os.Rename(t.before, t.dir)
		if errors.Is(err, fs.ErrNotExist) {
			err = nil
		}
	}
	if err != nil {
		return err
	}
	return errors.Join(removeTree(t.staged), removeTree(t.before))
}

// stage makes an empty directory to write into.
func (t *target) stage() (*os.Root, error) {
	if err := os.MkdirAll(filepath.Dir(t.staged), 0o777); err != nil {
		return nil, err
	}
	if err := os.Mkdir(t.staged, 0o700); err != nil {
		return nil, err
	}
	return os.OpenRoot(t.staged)
}

// commit puts what was staged in the directory's place.
func (t *target) commit() error {
	if exchange(t.staged, t.dir) == nil {
		discard(t.staged) // which is now what was there
		return nil
	}
	err := os.Rename(t.dir, t.before)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.Rename(t.staged, t.dir); err != nil {
		return errors.Join(err, t.undo())
	}
	discard(t.before)
	return nil
}

// discard removes what the next restore would remove too.
func discard(dir string) {
	if err := removeTree(dir); err != nil {
		slog.Warn("checkpointing: what was there before a restore cannot be removed", "dir", dir, "error", err)
	}
}

func (t *target) undo() error {
	err := os.Rename(t.before, t.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// removeTree is os.RemoveAll that also removes directories which their owner
// may not write to.
func removeTree(dir string) error {
	err := os.RemoveAll(dir)
	if !errors.Is(err, fs.ErrPermission) {
		return err
	}
	below, openErr := os.OpenRoot(dir)
	if openErr != nil {
		return err
	}
	defer below.Close()
	// What cannot be made writable fails again below, and is reported then.
	_ = fs.WalkDir(below.FS(), ".", func(name string, entry fs.DirEntry, err error) error {
		if entry != nil && entry.IsDir() && err == nil {
			_ = below.Chmod(name, 0o700)
		}
		return nil
	})
	return os.RemoveAll(dir)
}
