//go:build unix

package agent

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"

	"github.com/spotrelay/spotrelay/runner/job"
)

// workdirs holds the working directories that were prepared on this instance,
// each made once and copied for every attempt.
type workdirs struct {
	dir string

	mu      sync.Mutex
	entries map[string]*workdir
}

// workdir is one prepared directory. Whoever holds turn may prepare it.
type workdir struct {
	path  string
	turn  chan struct{}
	ready bool // guarded by turn
}

func newWorkdirs(dir string) *workdirs {
	return &workdirs{dir: dir, entries: map[string]*workdir{}}
}

// workdirKey names what a prepared directory holds.
func workdirKey(manifest *job.Manifest, setup []string) string {
	digest := ""
	if manifest != nil {
		digest = manifest.Digest
	}
	data, err := json.Marshal(append([]string{digest}, setup...))
	if err != nil {
		panic(err) // a slice of strings
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:12])
}

// get is the prepared directory for key. The first who asks prepares it, the
// others wait; when that fails the next one tries.
func (w *workdirs) get(ctx context.Context, key string, prepare func(dir string) error) (string, error) {
	w.mu.Lock()
	entry := w.entries[key]
	if entry == nil {
		entry = &workdir{path: filepath.Join(w.dir, key), turn: make(chan struct{}, 1)}
		w.entries[key] = entry
	}
	w.mu.Unlock()
	select {
	case entry.turn <- struct{}{}:
	case <-ctx.Done():
		return "", ctx.Err()
	}
	defer func() { <-entry.turn }()
	if entry.ready {
		return entry.path, nil
	}
	if err := os.MkdirAll(w.dir, 0o755); err != nil {
		return "", agentFault(fmt.Errorf("making the folder for prepared workdirs: %w", err))
	}
	if err := prepare(entry.path); err != nil {
		os.RemoveAll(entry.path)
		return "", err
	}
	entry.ready = true
	return entry.path, nil
}

// trash removes folders in the background.
type trash struct {
	dir    string
	serial atomic.Int64
	work   sync.WaitGroup
}

// path is a name to move something to, before remove.
func (t *trash) path() string {
	return filepath.Join(t.dir, fmt.Sprint(t.serial.Add(1)))
}

func (t *trash) remove(path string) {
	t.work.Go(func() {
		if os.RemoveAll(path) != nil {
			// A folder without write permission: open it up and try again.
			_ = filepath.WalkDir(path, func(p string, d os.DirEntry, err error) error {
				if d != nil && d.IsDir() {
					_ = os.Chmod(p, 0o700)
				}
				return nil
			})
			_ = os.RemoveAll(path)
		}
	})
}
