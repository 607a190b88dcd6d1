package checkpointing

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
)

// lent is a body over a buffer that goes back to its owner when the call is
// over. A client may go on reading a body after its call has returned; from
// then on it gets an error instead of what the buffer is used for next.
type lent struct {
	ctx   context.Context
	pacer *pacer      // nil: unbounded
	read  func(n int) // told of progress; may be nil

	mu     sync.Mutex
	data   []byte
	offset int64
	over   bool
}

var errOver = errors.New("the call that this body belongs to is over")

// Len is how much is left to read.
func (l *lent) Len() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return max(len(l.data)-int(l.offset), 0)
}

// Read implements io.Reader, no faster than the pacer allows.
func (l *lent) Read(b []byte) (int, error) {
	n, err := l.copy(l.pacer.cap(b))
	if err := l.pacer.wait(l.ctx, n); err != nil {
		return 0, err
	}
	if n > 0 && l.read != nil {
		l.read(n)
	}
	return n, err
}

func (l *lent) copy(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.over {
		return 0, errOver
	}
	if l.offset >= int64(len(l.data)) {
		return 0, io.EOF
	}
	n := copy(b, l.data[l.offset:])
	l.offset += int64(n)
	return n, nil
}

// Seek implements io.Seeker.
func (l *lent) Seek(offset int64, whence int) (int64, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch whence {
	case io.SeekCurrent:
		offset += l.offset
	case io.SeekEnd:
		offset += int64(len(l.data))
	}
	if offset < 0 {
		return 0, fmt.Errorf("no such offset: %d", offset)
	}
	l.offset = offset
	return offset, nil
}

// takeBack ends the reading.
func (l *lent) takeBack() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.data, l.over = nil, true
}
