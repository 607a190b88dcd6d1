package bucket

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"time"
)

// retries bounds how often a write makes its directory again after another
// writer's Delete removed it as empty.
const retries = 100

// Put implements Bucket.
func (f *folder) Put(ctx context.Context, key string, body io.ReadSeeker, cond Condition) (Object, error) {
	name, err := f.name(ctx, "put", key)
	if err != nil {
		return Object{}, err
	}
	if cond.Absent && cond.Version != "" {
		return Object{}, &Error{Code: CodeInvalid, Op: "put", Key: key, Err: errors.New("two conditions that exclude each other")}
	}
	// A condition that cannot hold any more saves the writing.
	if err := f.holds(key, name, cond); err != nil {
		return Object{}, f.fail("put", key, err)
	}
	staged, err := f.stage(ctx, body)
	if err != nil {
		return Object{}, f.fail("put", key, err)
	}
	defer f.root.Remove(staged)
	var o Object
	if cond.Absent {
		o, err = f.create(ctx, key, name, staged)
	} else {
		o, err = f.replace(ctx, key, name, staged, cond)
	}
	if err != nil {
		return Object{}, f.fail("put", key, err)
	}
	return o, nil
}

// holds looks whether cond holds now.
func (f *folder) holds(key, name string, cond Condition) error {
	if cond == (Condition{}) {
		return nil
	}
	info, err := f.root.Lstat(name)
	there := err == nil && !info.IsDir()
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	switch {
	case cond.Absent && there:
		return conflict(key, "it exists")
	case cond.Version != "" && !there:
		return conflict(key, "it does not exist")
	case cond.Version != "" && object(key, info).Version != cond.Version:
		return conflict(key, "it was written since")
	}
	return nil
}

func conflict(key, reason string) error {
	return &Error{Code: CodeConflict, Op: "put", Key: key, Err: errors.New("the condition does not hold: " + reason)}
}

// stage writes body into a file of its own in .tmp and flushes it.
func (f *folder) stage(ctx context.Context, body io.Reader) (string, error) {
	file, name, err := f.createStaged()
	if err != nil {
		return "", err
	}
	_, err = io.Copy(file, &cancellable{ctx: ctx, Reader: body})
	if err == nil && !f.options.noSync {
		err = file.Sync()
	}
	if closed := file.Close(); err == nil {
		err = closed
	}
	if err != nil {
		f.root.Remove(name)
		return "", err
	}
	return name, nil
}

func (f *folder) createStaged() (*os.File, string, error) {
	name := fmt.Sprintf("%s/%d-%s", stagingDir, os.Getpid(), rand.Text())
	file, err := f.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if errors.Is(err, fs.ErrNotExist) { // somebody tidied up too well
		if err := f.ownDir(stagingDir); err != nil {
			return nil, "", err
		}
		file, err = f.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	}
	return file, name, err
}

// cancellable ends a copy when its context ends.
type cancellable struct {
	ctx context.Context
	io.Reader
}

func (r *cancellable) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.Reader.Read(p)
}

// create names the staged file if no object has the name.
func (f *folder) create(ctx context.Context, key, name, staged string) (Object, error) {
	if lockCreates {
		return f.createLocked(ctx, key, name, staged)
	}
	floor, err := f.floor(shardOf(key))
	if err != nil {
		return Object{}, err
	}
	info, err := f.later(staged, floor)
	if err != nil {
		return Object{}, err
	}
	err = f.place(key, name, true, func() error { return f.link(staged, name) })
	switch {
	case err == nil:
		return object(key, info), nil
	case errors.Is(err, fs.ErrExist):
		return Object{}, conflict(key, "it exists")
	case isLinkRefused(err):
		return f.createLocked(ctx, key, name, staged)
	}
	return Object{}, err
}

// createLocked is create for file systems without hard links, where every
// writer comes here.
func (f *folder) createLocked(ctx context.Context, key, name, staged string) (Object, error) {
	return f.replace(ctx, key, name, staged, IfAbsent())
}

// replace gives the staged file the name, whatever had it before, if cond
// holds. The lock keeps others from writing between the look and the rename.
func (f *folder) replace(ctx context.Context, key, name, staged string, cond Condition) (Object, error) {
	unlock, err := f.lock(ctx, "put", key)
	if err != nil {
		return Object{}, err
	}
	defer unlock()
	if err := f.holds(key, name, cond); err != nil {
		return Object{}, err
	}
	floor, err := f.floor(shardOf(key))
	if err != nil {
		return Object{}, err
	}
	if before, err := f.root.Lstat(name); err == nil && before.ModTime().After(floor) {
		floor = before.ModTime()
	}
	info, err := f.later(staged, floor)
	if err != nil {
		return Object{}, err
	}
	durable := cond != Condition{}
	if err := f.place(key, name, durable, func() error { return f.root.Rename(staged, name) }); err != nil {
		return Object{}, err
	}
	return object(key, info), nil
}

// later gives the staged file a time after floor, if it has none yet. The step
// grows until the file system's resolution shows it.
func (f *folder) later(staged string, floor time.Time) (fs.FileInfo, error) {
	info, err := f.root.Lstat(staged)
	if err != nil {
		return nil, err
	}
	for _, step := range []time.Duration{1, 100, time.Microsecond, time.Millisecond, time.Second, 2 * time.Second} {
		if info.ModTime().After(floor) {
			return info, nil
		}
		t := floor.Add(step)
		if err := f.root.Chtimes(staged, t, t); err != nil {
			return nil, err
		}
		if info, err = f.root.Lstat(staged); err != nil {
			return nil, err
		}
	}
	if !info.ModTime().After(floor) {
		return nil, &Error{Code: CodeUnsupported, Op: "put", Key: staged, Err: errors.New("the file system does not keep the times that files are given")}
	}
	return info, nil
}

// place calls name until the object's directory is there long enough, and
// flushes what changed.
func (f *folder) place(key, name string, durable bool, give func() error) error {
	changed := []string{path.Dir(key)}
	for range retries {
		err := give()
		if err == nil {
			if durable {
				return f.syncDirs(changed)
			}
			return nil
		}
		switch {
		case errors.Is(err, fs.ErrNotExist):
			made, err := f.makeParents(key)
			if err != nil {
				return err
			}
			changed = append(changed, made...)
		case f.removeEmptyDir(name):
			// A leftover of a Delete that was cut short.
		case f.isDirectory(name):
			return &Error{Code: CodeInvalid, Op: "put", Key: key, Err: errors.New("it is the prefix of other objects"), Hint: "in a folder a key cannot be an object and the prefix of others at once"}
		default:
			return err
		}
	}
	return errors.New("the directory was removed again and again")
}

func (f *folder) isDirectory(name string) bool {
	info, err := f.root.Lstat(name)
	return err == nil && info.IsDir()
}

// makeParents makes the directories above key and tells in which ones it made
// something.
func (f *folder) makeParents(key string) (changed []string, err error) {
	for i, c := range key {
		if c != '/' {
			continue
		}
		dir := key[:i]
		err := f.root.Mkdir(dir, 0o777)
		switch {
		case err == nil:
			changed = append(changed, path.Dir(dir))
		case errors.Is(err, fs.ErrNotExist):
			return changed, nil // removed under our feet; the caller tries again
		case !errors.Is(err, fs.ErrExist):
			return changed, err
		}
	}
	return changed, nil
}

func (f *folder) syncDirs(dirs []string) error {
	if f.options.noSync {
		return nil
	}
	for _, name := range dirs {
		if err := syncDir(f.root, name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}
