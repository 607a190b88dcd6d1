package checkpointing

import (
	"context"
	"sync"
)

const (
	// saveBuffers and aheadBuffers are how many packs an engine holds in
	// memory at once, those being filled and those being sent, for all its
	// saves and for copying ahead.
	saveBuffers  = 10
	aheadBuffers = spares + 1
)

// arena lends buffers of packSize, a bounded number at a time. They lie
// outside of the collected heap: it would keep as much again free for them.
// When nobody uses it, it holds no memory.
type arena struct {
	tokens chan struct{}

	mu    sync.Mutex
	free  [][]byte
	users int
}

func newArena(buffers int) *arena { return &arena{tokens: make(chan struct{}, buffers)} }

// enter and leave bracket the use of the arena.
func (a *arena) enter() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.users++
}

func (a *arena) leave() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.users--; a.users == 0 {
		for _, b := range a.free {
			unmapBuffer(b)
		}
		a.free = nil
	}
}

// buffer is lent memory of packSize bytes.
type buffer struct {
	data  []byte
	arena *arena
	spare *spare // whose it is until that is closed; may be nil
}

// lend waits for a buffer.
func (a *arena) lend(ctx context.Context) (*buffer, error) {
	select {
	case a.tokens <- struct{}{}:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if n := len(a.free); n > 0 {
		data := a.free[n-1]
		a.free = a.free[:n-1]
		return &buffer{data: data, arena: a}, nil
	}
	data, err := mapBuffer(packSize)
	if err != nil {
		<-a.tokens
		return nil, err
	}
	return &buffer{data: data, arena: a}, nil
}

// release gives a buffer back, of which nobody has kept a part.
func (b *buffer) release() {
	if b.spare != nil && b.spare.put(b) {
		return
	}
	b.arena.mu.Lock()
	b.arena.free = append(b.arena.free, b.data)
	b.arena.mu.Unlock()
	<-b.arena.tokens
}

// spare is a few buffers that belong to one job, which fills more than one.
// What it has filled comes back to it when it is sent.
type spare struct {
	back chan *buffer

	mu     sync.Mutex
	closed bool
}

// newSpare owns the buffers from now on, the first of which is in use.
func newSpare(buffers []*buffer) *spare {
	s := &spare{back: make(chan *buffer, len(buffers))}
	for i, b := range buffers {
		b.spare = s
		if i > 0 {
			s.back <- b
		}
	}
	return s
}

func (s *spare) put(b *buffer) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.back <- b
	return true
}

// next waits for a buffer that is free.
func (s *spare) next(ctx context.Context) (*buffer, error) {
	select {
	case b := <-s.back:
		return b, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// close gives the buffers to everyone, now or when they come back.
func (s *spare) close() {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	for {
		select {
		case b := <-s.back:
			b.release()
		default:
			return
		}
	}
}
