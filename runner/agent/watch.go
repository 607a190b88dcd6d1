//go:build unix

package agent

import (
	"context"
	"errors"
	"io/fs"
	"path/filepath"
	"time"

	"github.com/fsnotify/fsnotify"
)

const (
	// mostWatched directories are watched of one checkpoint. The kernel's
	// watches are few, and the task may want some itself.
	mostWatched = 2000
	// settleTime is how long further changes are left unread after one: what a
	// busy task does costs next to nothing then.
	settleTime = time.Second
)

var errTooMany = errors.New("it has too many directories")

// watch calls changed soon after anything has changed below dir, until ctx
// ends. An error says that it cannot, or no longer: the caller then has to
// look by itself.
func watch(ctx context.Context, dir string, changed func()) error {
	watcher, err := fsnotify.NewWatcher()
	if err != nil {
		return err
	}
	defer watcher.Close()
	w := &watching{Watcher: watcher, dir: dir}
	if err := w.below(dir); err != nil {
		return err
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case err, ok := <-w.Errors:
			// More happened than could be told: something has changed.
			if !ok || !errors.Is(err, fsnotify.ErrEventOverflow) {
				return err
			}
		case event, ok := <-w.Events:
			if !ok {
				return fsnotify.ErrClosed
			}
			if err := w.follow(event); err != nil {
				return err
			}
		}
		changed()
		if !sleep(ctx, settleTime) {
			return nil
		}
		if err := w.drain(); err != nil {
			return err
		}
		changed()
	}
}

// watching is a watched directory.
type watching struct {
	*fsnotify.Watcher
	dir   string
	added int // directories
}

// drain takes in what has happened meanwhile.
func (w *watching) drain() error {
	for {
		select {
		case event, ok := <-w.Events:
			if !ok {
				return fsnotify.ErrClosed
			}
			if err := w.follow(event); err != nil {
				return err
			}
		default:
			return nil
		}
	}
}

// follow watches a directory that came to be. Where dir itself is gone there is
// nothing to watch any more.
func (w *watching) follow(event fsnotify.Event) error {
	if event.Name == w.dir && event.Has(fsnotify.Remove|fsnotify.Rename) {
		return fs.ErrNotExist
	}
	if !event.Has(fsnotify.Create) {
		return nil
	}
	return w.below(event.Name)
}

// below watches a directory and those in it. What vanishes meanwhile, or
// is no directory, is passed over.
func (w *watching) below(dir string) error {
	return filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.IsDir() {
			return nil //nolint:nilerr // it is looked at again by the sweep
		}
		if w.added++; w.added > mostWatched {
			return errTooMany
		}
		if err := w.Add(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil
	})
}
