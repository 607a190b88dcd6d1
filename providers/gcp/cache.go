package gcp

import (
	"context"
	"sync"
	"time"
)

// cache keeps what was read for a while, by key. Its zero value is ready. Calls
// for one key at the same time read once.
type cache[T any] struct {
	mu      sync.Mutex
	entries map[string]*cacheEntry[T]
}

type cacheEntry[T any] struct {
	mu    sync.Mutex
	value T
	read  time.Time // zero: not read yet
}

// get is the value of key, read anew when it is older than life. An error is
// not kept.
func (c *cache[T]) get(ctx context.Context, key string, life time.Duration, read func(context.Context) (T, error)) (T, error) {
	c.mu.Lock()
	if c.entries == nil {
		c.entries = map[string]*cacheEntry[T]{}
	}
	entry := c.entries[key]
	if entry == nil {
		entry = &cacheEntry[T]{}
		c.entries[key] = entry
	}
	c.mu.Unlock()
	entry.mu.Lock()
	defer entry.mu.Unlock()
	if !entry.read.IsZero() && time.Since(entry.read) < life {
		return entry.value, nil
	}
	value, err := read(ctx)
	if err != nil {
		var none T
		return none, err
	}
	entry.value, entry.read = value, time.Now()
	return value, nil
}
