package store

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/spotrelay/spotrelay/checkpointing/bucket"
	"github.com/spotrelay/spotrelay/runner/job"
)

// The defaults of LogOptions.
const (
	DefaultPartBytes  = 4 << 20
	DefaultPartAge    = time.Second
	DefaultSpillBytes = 256 << 20
)

const (
	logRetryFirst = 200 * time.Millisecond
	logRetryMax   = 10 * time.Second
)

// LogOptions tunes a LogWriter; zero fields are the defaults.
type LogOptions struct {
	PartBytes int           // most bytes of a part before compression
	PartAge   time.Duration // a part is sent when its first byte is so old
	// SpillDir holds what cannot be sent for now, up to SpillBytes; "" is the
	// system's folder for temporary files.
	SpillDir   string
	SpillBytes int64
	// Prefix of the parts' keys; "" is LogPrefix.
	Prefix string
}

// LogWriter streams an attempt's log to the bucket as compressed parts. It
// sees bytes, not lines, so a gigabyte without a line end is like any other
// log; its memory is a few parts. An empty log writes nothing.
//
// Write is as fast as the bucket while that works (a task that writes faster
// waits). While the bucket fails, Write goes on: what it is given lies in a
// spill file, and what does not fit there is dropped, with a line in the log
// that says how much.
//
// Its methods may be called from several goroutines.
type LogWriter struct {
	b    bucket.Bucket
	run  string
	id   job.AttemptID
	opts LogOptions

	ctx    context.Context
	cancel context.CancelFunc
	done   chan struct{} // the sender has ended

	mu      sync.Mutex
	changed *sync.Cond
	tail    []byte // newest bytes, at most a part
	spare   []byte // a part's buffer that is free
	due     bool   // the tail is old enough to be sent
	age     *time.Timer
	spill   spill // what comes before the tail
	failing error // the last attempt to send failed so
	dropped int64 // since the last marker
	closing bool

	written int64 // by Write
	settled int64 // sent, or dropped
	lost    int64 // dropped in all
}

// NewLogWriter makes a writer for an attempt's log. The attempt has one writer
// in its life: parts are numbered from 1. Sending ends with Close, or at once
// with ctx.
func NewLogWriter(ctx context.Context, b bucket.Bucket, run string, id job.AttemptID, opts LogOptions) *LogWriter {
	if opts.PartBytes <= 0 {
		opts.PartBytes = DefaultPartBytes
	}
	if opts.PartAge <= 0 {
		opts.PartAge = DefaultPartAge
	}
	if opts.SpillBytes <= 0 {
		opts.SpillBytes = DefaultSpillBytes
	}
	if opts.Prefix == "" {
		opts.Prefix = LogPrefix(run, id)
	}
	ctx, cancel := context.WithCancel(ctx)
	w := &LogWriter{
		b: b, run: run, id: id, opts: opts,
		ctx: ctx, cancel: cancel, done: make(chan struct{}),
		spill: spill{dir: opts.SpillDir, limit: opts.SpillBytes},
	}
	w.changed = sync.NewCond(&w.mu)
	go w.send()
	return w
}

// Write takes all of p. Its only error is that the writer is closed or its
// context has ended.
func (w *LogWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	whole := len(p)
	for len(p) > 0 {
		for len(w.tail) >= w.opts.PartBytes && w.ctx.Err() == nil && !w.closing {
			if w.failing != nil {
				w.spillTail()
			} else {
				w.changed.Wait()
			}
		}
		if w.closing || w.ctx.Err() != nil {
			return whole - len(p), errors.New("the log is closed")
		}
		if len(w.tail) == 0 {
			w.startAge()
		}
		n := min(len(p), w.opts.PartBytes-len(w.tail))
		w.tail = append(w.tail, p[:n]...)
		w.written += int64(n)
		p = p[n:]
		if len(w.tail) >= w.opts.PartBytes {
			w.changed.Broadcast()
		}
	}
	return whole, nil
}

// Written is how many bytes Write has taken.
func (w *LogWriter) Written() int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.written
}

// Flush waits until all that was written is in the bucket, or ctx ends. May be
// repeated.
func (w *LogWriter) Flush(ctx context.Context) error {
	stop := context.AfterFunc(ctx, w.wake)
	defer stop()
	w.mu.Lock()
	defer w.mu.Unlock()
	target := w.written
	w.due = true
	w.changed.Broadcast()
	for w.settled < target && ctx.Err() == nil && w.ctx.Err() == nil {
		w.changed.Wait()
	}
	if w.settled < target {
		return w.unsent(ctx)
	}
	return nil
}

// Close sends the rest and ends the writer. When ctx ends first, what is left
// is given up. The error says how much of the log is missing in the bucket;
// nil is all of it there. May be repeated.
func (w *LogWriter) Close(ctx context.Context) error {
	w.mu.Lock()
	w.closing = true
	w.changed.Broadcast()
	w.mu.Unlock()
	select {
	case <-w.done:
	case <-ctx.Done():
	}
	w.cancel()
	w.wake()
	<-w.done
	w.mu.Lock()
	defer w.mu.Unlock()
	w.spill.remove()
	if w.age != nil {
		w.age.Stop()
	}
	if w.settled < w.written || w.lost > 0 {
		return w.unsent(ctx)
	}
	return nil
}

// unsent is the error for what the bucket lacks.
func (w *LogWriter) unsent(ctx context.Context) error {
	cause := w.failing
	if cause == nil {
		cause = ctx.Err()
	}
	missing := w.written - w.settled + w.lost
	if cause == nil {
		return fmt.Errorf("%d bytes of the log of %s are missing: the bucket could not be written for too long", missing, attemptText(w.id))
	}
	return fmt.Errorf("%d bytes of the log of %s are missing: %w", missing, attemptText(w.id), cause)
}

func (w *LogWriter) wake() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.changed.Broadcast()
}

func (w *LogWriter) startAge() {
	w.due = false
	if w.age != nil {
		w.age.Stop()
	}
	w.age = time.AfterFunc(w.opts.PartAge, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.due = true
		w.changed.Broadcast()
	})
}

// spillTail moves the tail into the spill file, or drops it.
func (w *LogWriter) spillTail() {
	if note := marker(w.dropped); w.dropped > 0 && w.spill.add(note) {
		w.spill.note(len(note))
		w.dropped = 0
	}
	if w.dropped > 0 || !w.spill.add(w.tail) {
		n := int64(len(w.tail))
		w.dropped += n
		w.lost += n
		w.settled += n
	}
	w.tail = w.tail[:0]
}

func marker(dropped int64) []byte {
	return fmt.Appendf(nil, "\n[spotrelay: %d bytes of the log are missing here: the bucket could not be written]\n", dropped)
}

func attemptText(id job.AttemptID) string {
	return fmt.Sprintf("%s[%d] attempt %d", id.Task, id.Index, id.Attempt)
}
