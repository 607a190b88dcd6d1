package store

import (
	"time"

	"github.com/spotrelay/spotrelay/checkpointing/bucket"
)

// send is the sender's goroutine: one part after the other, each until it is
// in the bucket.
func (w *LogWriter) send() {
	defer close(w.done)
	for seq := int64(1); ; seq++ {
		part, bytes := w.next()
		if part == nil {
			return
		}
		if !w.put(w.opts.Prefix+logPart(seq), compress(part)) {
			return
		}
		w.mu.Lock()
		w.settled += bytes
		w.spare = part[:0]
		w.changed.Broadcast()
		w.mu.Unlock()
	}
}

// next waits for a part and how many bytes of the log it holds; nil when there
// is nothing more to send.
func (w *LogWriter) next() (part []byte, bytes int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for w.ctx.Err() == nil {
		if part := w.spill.take(w.opts.PartBytes); len(part) > 0 {
			return part, w.spill.logBytes(len(part))
		}
		if w.spill.err != nil {
			// What the spill file held cannot be read back.
			n := w.spill.forget()
			w.dropped, w.lost, w.settled = w.dropped+n, w.lost+n, w.settled+n
		}
		if len(w.tail) >= w.opts.PartBytes || (w.due || w.closing) && len(w.tail)+int(w.dropped) > 0 {
			return w.takeTail()
		}
		if w.closing {
			return nil, 0
		}
		w.changed.Wait()
	}
	return nil, 0
}

// takeTail is the tail as a part, after the marker for what is missing before
// it.
func (w *LogWriter) takeTail() (part []byte, bytes int64) {
	bytes = int64(len(w.tail))
	part = w.tail
	if w.dropped > 0 {
		part = append(marker(w.dropped), part...)
		w.dropped = 0
		w.tail = w.tail[:0]
	} else {
		w.tail, w.spare = w.spare[:0], nil
	}
	w.changed.Broadcast()
	return part, bytes
}

// put writes a part until that succeeded, or the context ended. The attempt
// has one writer, so a repetition writes the same content.
func (w *LogWriter) put(key string, data []byte) bool {
	for delay := logRetryFirst; ; delay = min(2*delay, logRetryMax) {
		_, err := writeObject(w.ctx, w.b, key, data, bucket.Condition{})
		w.mu.Lock()
		w.failing = err
		w.changed.Broadcast()
		w.mu.Unlock()
		if err == nil {
			return true
		}
		timer := time.NewTimer(delay)
		select {
		case <-timer.C:
		case <-w.ctx.Done():
			timer.Stop()
			return false
		}
	}
}
