package bucket

import (
	"context"
	"errors"
	"io/fs"
	"path"
)

// Delete implements Bucket. Directories that it leaves empty go too; a Put
// that needs one at that moment makes it again. A deletion is not flushed:
// after a power cut the object may be back.
func (f *folder) Delete(ctx context.Context, key string) error {
	name, err := f.name(ctx, "delete", key)
	if err != nil {
		return err
	}
	if err := f.remove(ctx, key, name); err != nil {
		return f.fail("delete", key, err)
	}
	for dir := path.Dir(key); dir != "."; dir = path.Dir(dir) {
		if !f.removeEmptyDir(dir) {
			break
		}
	}
	return nil
}

func (f *folder) remove(ctx context.Context, key, name string) error {
	unlock, err := f.lock(ctx, "delete", key)
	if err != nil {
		return err
	}
	defer unlock()
	info, err := f.root.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) || isNotDir(err) || err == nil && info.IsDir() {
		return nil
	}
	if err != nil {
		return err
	}
	if err := f.raiseFloor(shardOf(key), info.ModTime()); err != nil {
		return err
	}
	if err := f.root.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// removeEmptyDir removes a directory if there is one and it is empty, and
// tells whether it did. It never removes a file.
func (f *folder) removeEmptyDir(name string) bool {
	return rmdir(f.root, name) == nil
}
