package aws

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"sync"
	"time"
)

// cache keeps answers of AWS for a while. Those who ask for the same thing at
// the same time share one call.
type cache[V any] struct {
	mu      sync.Mutex
	entries map[string]*entry[V]
}

type entry[V any] struct {
	turn    chan struct{} // held by the one who fetches
	fetched time.Time     // zero: never
	value   V
}

// get gives what is known under key, fetched anew when it is older than life.
// A fetch that fails is not remembered.
func (c *cache[V]) get(ctx context.Context, key string, life time.Duration, fetch func(context.Context) (V, error)) (V, error) {
	c.mu.Lock()
	e := c.entries[key]
	if e == nil {
		if c.entries == nil {
			c.entries = map[string]*entry[V]{}
		}
		e = &entry[V]{turn: make(chan struct{}, 1)}
		c.entries[key] = e
	}
	c.mu.Unlock()
	select {
	case e.turn <- struct{}{}:
		defer func() { <-e.turn }()
	case <-ctx.Done():
		var none V
		return none, ctx.Err()
	}
	if !e.fetched.IsZero() && time.Since(e.fetched) < life {
		return e.value, nil
	}
	value, err := fetch(ctx)
	if err == nil {
		e.value, e.fetched = value, time.Now()
	}
	return value, err
}

// peek gives what is known, however old, and makes no call.
func (c *cache[V]) peek(key string) (V, bool) {
	c.mu.Lock()
	e := c.entries[key]
	c.mu.Unlock()
	var none V
	if e == nil {
		return none, false
	}
	select {
	case e.turn <- struct{}{}:
		defer func() { <-e.turn }()
		return e.value, !e.fetched.IsZero()
	default:
		return none, false // it is being fetched
	}
}

// memory remembers things by name for a while.
type memory[V any] struct {
	life time.Duration

	mu     sync.Mutex
	things map[string]remembered[V]
	swept  time.Time
}

type remembered[V any] struct {
	value V
	at    time.Time
}

func (m *memory[V]) put(key string, value V) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	if m.things == nil {
		m.things = map[string]remembered[V]{}
	}
	if now.Sub(m.swept) > m.life/10 {
		m.swept = now
		maps.DeleteFunc(m.things, func(_ string, r remembered[V]) bool { return now.Sub(r.at) > m.life })
	}
	m.things[key] = remembered[V]{value, now}
}

func (m *memory[V]) get(key string) (V, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	r, ok := m.things[key]
	if !ok || time.Since(r.at) > m.life {
		var none V
		return none, false
	}
	return r.value, true
}

func sortedKeys[K cmp.Ordered, V any](m map[K]V) []K { return slices.Sorted(maps.Keys(m)) }
