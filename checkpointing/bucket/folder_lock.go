package bucket

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"io/fs"
	"path/filepath"
	"time"

	"github.com/gofrs/flock"
)

// lockPatience bounds the wait for a lock that is held for microseconds: who
// holds it longer is stopped or hangs in the file system.
const lockPatience = 15 * time.Second

// shard is one of the folder's locks: turn among this process's goroutines,
// then the file among processes.
type shard struct {
	turn chan struct{}
}

func shardOf(key string) uint8 {
	h := fnv.New32a()
	_, _ = h.Write([]byte(key)) // a hash never fails
	sum := h.Sum32()
	return uint8(sum ^ sum>>8 ^ sum>>16 ^ sum>>24)
}

func lockName(n uint8) string { return fmt.Sprintf("%s/%02x", locksDir, n) }

// lock takes the lock of key's shard; the returned function gives it back.
func (f *folder) lock(ctx context.Context, op, key string) (func(), error) {
	n := shardOf(key)
	patience, cancel := context.WithTimeout(ctx, lockPatience)
	defer cancel()
	turn := f.shards[n].turn
	select {
	case turn <- struct{}{}:
	case <-patience.Done():
		return nil, lockError(ctx, op, key, n)
	}
	file := flock.New(filepath.Join(f.path, filepath.FromSlash(lockName(n))), flock.SetPermissions(0o666))
	for wait := 200 * time.Microsecond; ; wait = min(2*wait, 5*time.Millisecond) {
		locked, err := file.TryLock()
		if err != nil {
			<-turn
			return nil, f.fail(op, key, err)
		}
		if locked {
			return func() {
				_ = file.Unlock() // closes the file, which unlocks it in any case
				<-turn
			}, nil
		}
		select {
		case <-time.After(wait):
		case <-patience.Done():
			<-turn
			return nil, lockError(ctx, op, key, n)
		}
	}
}

func lockError(ctx context.Context, op, key string, n uint8) error {
	e := &Error{Code: CodeUnavailable, Op: op, Key: key, Err: ctx.Err()}
	if e.Err == nil {
		e.Err = fmt.Errorf("the lock %s was not free within %v", lockName(n), lockPatience)
		e.Hint = "a process that uses this bucket is stopped or hangs; continue or end it"
	}
	return e
}

// floor is the greatest time of an object deleted from the shard; zero when
// there was none.
func (f *folder) floor(n uint8) (time.Time, error) {
	info, err := f.root.Lstat(lockName(n))
	if errors.Is(err, fs.ErrNotExist) {
		return time.Time{}, nil
	}
	if err != nil {
		return time.Time{}, err
	}
	return info.ModTime(), nil
}

// raiseFloor makes the shard's floor at least t. The lock is held.
func (f *folder) raiseFloor(n uint8, t time.Time) error {
	before, err := f.floor(n)
	if err != nil || !t.After(before) {
		return err
	}
	return f.root.Chtimes(lockName(n), t, t)
}
