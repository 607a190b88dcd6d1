package checkpointing

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/spotrelay/spotrelay/checkpointing/bucket"
)

// fetching reads spans and verifies the chunks in them.
type fetching struct {
	e     *engine
	op    string
	m     *manifest
	lanes *lanes
	pacer *pacer
	// use takes verified content, which it must not keep. It is called from
	// several goroutines.
	use func(w *fetcher, chunk int, content []byte) error
	// tolerate tells whether to go on after an error; nil never does.
	tolerate func(error) bool
}

// fetcher is what one goroutine uses again and again.
type fetcher struct {
	reader  *bufio.Reader
	stored  []byte
	content []byte
	opener  *opener // of the target; may be nil
	pacer   *pacer
	next    int // chunk of the span that is read next
}

const (
	fetchBuffer = 64 << 10
	// stallAfter is how long nothing may come of a read before it is given up
	// and asked for again.
	stallAfter = 10 * time.Second
)

var fetchers = sync.Pool{New: func() any {
	return &fetcher{reader: bufio.NewReaderSize(nil, fetchBuffer)}
}}

// span reads one span. A read that breaks off goes on where it was.
func (f *fetching) span(ctx context.Context, w *fetcher, s span) error {
	if err := f.lanes.enter(ctx); err != nil {
		return err
	}
	start := time.Now()
	w.next = 0
	_, err := retry(ctx, func() (struct{}, error) { return struct{}{}, f.rest(ctx, w, s) })
	f.lanes.leave(s.to-s.from, time.Since(start))
	if err != nil && !isOurs(err) {
		err = f.e.lost(f.op, s.pack.key(), err)
	}
	if err != nil && f.tolerate != nil && f.tolerate(err) {
		return nil
	}
	return err
}

// rest reads what is left of a span.
func (f *fetching) rest(ctx context.Context, w *fetcher, s span) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	at := f.m.Chunks[s.chunks[w.next]].Offset
	key := s.pack.key()
	body, o, err := f.e.bucket.Get(ctx, key, int64(at), int64(s.to-at))
	if err != nil {
		return err
	}
	defer body.Close()
	if o.Size != s.pack.Size {
		return f.e.corrupt(f.op, key, fmt.Errorf("it has %d bytes and not %d", o.Size, s.pack.Size))
	}
	stall := time.AfterFunc(stallAfter, cancel)
	defer stall.Stop()
	w.pacer = f.pacer
	w.reader.Reset(&pacedBody{ctx: ctx, body: body, pacer: f.pacer, stall: stall})
	for ; w.next < len(s.chunks); w.next++ {
		c := &f.m.Chunks[s.chunks[w.next]]
		if _, err := w.reader.Discard(c.Offset - at); err != nil {
			return brokeOff(key, err)
		}
		w.stored = grown(w.stored, c.Stored)
		if _, err := io.ReadFull(w.reader, w.stored); err != nil {
			return brokeOff(key, err)
		}
		at = c.Offset + c.Stored
		content, err := f.verify(w, c)
		if err != nil {
			return f.e.corrupt(f.op, key, err)
		}
		stall.Stop() // writing may take its time
		if err := f.use(w, s.chunks[w.next], content); err != nil {
			return err
		}
		stall.Reset(stallAfter)
	}
	return nil
}

// verify unpacks a chunk and compares its digest.
func (f *fetching) verify(w *fetcher, c *chunk) ([]byte, error) {
	if c.Stored < c.Size {
		w.content = grown(w.content, c.Size)
	}
	content, err := f.e.codec.decode(w.content, w.stored, c.Size)
	if err != nil {
		return nil, err
	}
	if d := digestOf(content); d != c.Digest {
		return nil, fmt.Errorf("the content at %d has the digest %s", c.Offset, d)
	}
	return content, nil
}

// grown is b with length n.
func grown(b []byte, n int) []byte {
	if cap(b) < n {
		return make([]byte, n, max(n, regionSize))
	}
	return b[:n]
}

// brokeOff is a read that ended too early, which may pass.
func brokeOff(key string, err error) error {
	return &bucket.Error{Code: bucket.CodeUnavailable, Op: "get", Key: key, Err: err}
}

// pacedBody reads no faster than its pacer allows and puts off the stall.
type pacedBody struct {
	ctx   context.Context
	body  io.Reader
	pacer *pacer
	stall *time.Timer
}

func (p *pacedBody) Read(b []byte) (int, error) {
	n, err := p.body.Read(p.pacer.cap(b))
	if n > 0 {
		p.stall.Reset(stallAfter)
	}
	if err := p.pacer.wait(p.ctx, n); err != nil {
		return 0, err
	}
	return n, err
}

// corrupt reports a damaged pack and keeps later saves from relying on it.
func (e *engine) corrupt(op, key string, err error) error {
	e.setDamaged(key, true)
	return &Error{Code: CodeCorrupt, Op: op, What: key, Err: err, Hint: hintOlder}
}

// lost is missing for a pack, which later saves must not rely on either.
func (e *engine) lost(op, key string, err error) error {
	err = missing(op, key, err)
	if isOurs(err) {
		e.setDamaged(key, true)
	}
	return err
}
