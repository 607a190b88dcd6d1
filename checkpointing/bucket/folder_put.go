package bucket

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
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
	defer f.unstage(staged)
	w := &write{f: f, key: key, name: name, staged: staged, cond: cond}
	if cond.Absent && !lockCreates {
		err = w.create(ctx)
	} else {
		err = w.replace(ctx)
	}
	if err == nil && cond != (Condition{}) && !f.options.noSync {
		err = w.flush()
	}
	if err != nil {
		return Object{}, f.fail("put", key, err)
	}
	return object(key, w.info), nil
}

// write is one Put whose bytes are staged.
type write struct {
	f       *folder
	key     string
	name    string
	staged  string
	cond    Condition
	info    fs.FileInfo // of the staged file with its final time
	changed []string    // directories that got a new entry
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
	switch body.(type) {
	case *bytes.Reader, *strings.Reader: // one write
	default:
		body = &cancellable{ctx: ctx, Reader: body}
	}
	_, err = io.Copy(file, body)
	if err == nil && !f.options.noSync {
		err = file.Sync()
	}
	if closed := file.Close(); err == nil {
		err = closed
	}
	if err != nil {
		f.unstage(name)
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

// unstage removes a staged file, if it has not been renamed. When that fails
// it is swept later.
func (f *folder) unstage(name string) { _ = f.root.Remove(name) }

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
func (w *write) create(ctx context.Context) error {
	floor, err := w.f.floor(shardOf(w.key))
	if err != nil {
		return err
	}
	if err := w.later(floor); err != nil {
		return err
	}
	err = w.place(func() error { return w.f.link(w.staged, w.name) })
	switch {
	case errors.Is(err, fs.ErrExist):
		return conflict(w.key, "it exists")
	case isLinkRefused(err):
		return w.replace(ctx) // as all writers on this file system do
	}
	return err
}

// replace gives the staged file the name, whatever had it before, if the
// condition holds. The lock keeps others from writing between the look and the
// rename.
func (w *write) replace(ctx context.Context) error {
	unlock, err := w.f.lock(ctx, "put", w.key)
	if err != nil {
		return err
	}
	defer unlock()
	if err := w.f.holds(w.key, w.name, w.cond); err != nil {
		return err
	}
	floor, err := w.f.floor(shardOf(w.key))
	if err != nil {
		return err
	}
	if before, err := w.f.root.Lstat(w.name); err == nil && before.ModTime().After(floor) {
		floor = before.ModTime()
	}
	if err := w.later(floor); err != nil {
		return err
	}
	return w.place(func() error { return w.f.root.Rename(w.staged, w.name) })
}

// later gives the staged file a time after floor, if it has none yet. The step
// grows until the file system's resolution shows it.
func (w *write) later(floor time.Time) (err error) {
	for _, step := range []time.Duration{0, 1, 100, time.Microsecond, time.Millisecond, time.Second, 2 * time.Second} {
		if t := floor.Add(step); step > 0 {
			if err := w.f.root.Chtimes(w.staged, t, t); err != nil {
				return err
			}
		}
		if w.info, err = w.f.root.Lstat(w.staged); err != nil {
			return err
		}
		if w.info.ModTime().After(floor) {
			return nil
		}
	}
	return &Error{Code: CodeUnsupported, Op: "put", Key: w.key, Err: errors.New("the file system does not keep the times that files are given")}
}

// place calls give until the object's directory is there long enough.
func (w *write) place(give func() error) error {
	w.changed = []string{path.Dir(w.key)}
	for range retries {
		err := give()
		switch {
		case err == nil:
			return nil
		case errors.Is(err, fs.ErrNotExist):
			if err := w.makeParents(); err != nil {
				return err
			}
		case w.f.removeEmptyDir(w.name):
			// A leftover of a Delete that was cut short.
		case w.f.isDirectory(w.name):
			return &Error{Code: CodeInvalid, Op: "put", Key: w.key, Err: errors.New("it is the prefix of other objects"), Hint: hintObjectAndPrefix}
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

// makeParents makes the directories above the key.
func (w *write) makeParents() error {
	for i, c := range w.key {
		if c != '/' {
			continue
		}
		dir := w.key[:i]
		err := w.f.root.Mkdir(dir, 0o777)
		switch {
		case err == nil:
			w.changed = append(w.changed, path.Dir(dir))
		case errors.Is(err, fs.ErrNotExist):
			return nil // removed under our feet; the caller tries again
		case !errors.Is(err, fs.ErrExist):
			return err
		}
	}
	return nil
}

// flush makes the new names survive a power cut.
func (w *write) flush() error {
	for _, dir := range w.changed {
		if err := syncDir(w.f.root, dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}
