package checkpointing

import (
	"bytes"
	"context"
	"errors"
	"io"
	"sync"
	"sync/atomic"

	"golang.org/x/time/rate"

	"github.com/spotrelay/spotrelay/checkpointing/bucket"
)

// sending puts chunks that the bucket lacks. Its methods may be called from
// several goroutines once base and salt are set.
type sending struct {
	e       *engine
	limiter *rate.Limiter
	report  *reporter
	base    base
	salt    string
	sent    atomic.Int64

	mu      sync.Mutex
	claimed map[digest]chunk // sent or being sent by this save
}

// base is what a manifest has that is known to be in the bucket.
type base struct {
	chunks map[digest]chunk
	small  map[digest][]part
}

func newSending(e *engine, opts SaveOptions) *sending {
	return &sending{
		e:       e,
		limiter: newLimiter(opts.BytesPerSecond),
		report:  newReporter(opts.Progress),
		claimed: map[digest]chunk{},
	}
}

// useBase shares with m. A chunk of small files of which less than half is
// still in use is not shared, so that what is left of it is packed anew and no
// row of checkpoints drags a tail of old chunks along.
func (s *sending) useBase(m *manifest) {
	s.base = base{chunks: make(map[digest]chunk, len(m.Chunks)), small: map[digest][]part{}}
	contents := make([]*content, len(m.Chunks))
	for i, c := range m.Chunks {
		contents[i] = &content{chunk: c}
		if !s.e.isDamaged(c.key()) {
			s.base.chunks[c.Digest] = c
		}
	}
	used := make([]int, len(m.Chunks))
	counted := map[digest]bool{}
	small := func(yield func(*entry)) {
		for i := range m.Entries {
			if e := &m.Entries[i]; e.Digest != nil && len(e.Extents) == 1 {
				yield(e)
			}
		}
	}
	small(func(e *entry) {
		if !counted[*e.Digest] {
			counted[*e.Digest] = true
			used[e.Extents[0].Chunk] += e.Extents[0].Length
		}
	})
	small(func(e *entry) {
		x := e.Extents[0]
		c := m.Chunks[x.Chunk]
		if used[x.Chunk] >= c.Size/2 && !s.e.isDamaged(c.key()) {
			s.base.small[*e.Digest] = []part{{from: x.From, length: x.Length, content: contents[x.Chunk]}}
		}
	})
}

// begin reports what a round is about to read.
func (s *sending) begin(now *scan, files []*found) {
	s.report.update(func(p *Progress) {
		p.Stage = StageSending
		p.Files = now.files
		p.BytesTotal = p.BytesDone + p.BytesShared
		for _, f := range files {
			p.BytesTotal += f.Size
		}
	})
}

// shared counts bytes that need not be sent.
func (s *sending) shared(n int) {
	s.report.update(func(p *Progress) { p.BytesShared += int64(n) })
}

// chunk sees to it that the bucket has data, and names it.
func (s *sending) chunk(ctx context.Context, data []byte) (chunk, error) {
	d := digestOf(data)
	if c, known := s.base.chunks[d]; known {
		s.shared(len(data))
		return c, nil
	}
	c := chunk{Digest: d, Size: len(data), Salt: s.salt}
	s.mu.Lock()
	_, claimed := s.claimed[d]
	s.claimed[d] = c
	s.mu.Unlock()
	if claimed {
		s.shared(len(data))
		return c, nil
	}
	buffer := s.e.buffer()
	defer s.e.release(buffer)
	*buffer = s.e.codec.encode(*buffer, data)
	return c, s.put(ctx, c, *buffer)
}

// put writes a stored chunk unless it is there.
func (s *sending) put(ctx context.Context, c chunk, stored []byte) error {
	key := c.key()
	condition := bucket.IfAbsent()
	if s.e.isDamaged(key) {
		condition = bucket.Condition{}
	}
	_, err := retry(ctx, func() (bucket.Object, error) {
		meter := &meter{report: s.report, content: int64(c.Size), stored: int64(len(stored))}
		o, err := s.e.bucket.Put(ctx, key, s.body(ctx, stored, meter), condition)
		if err != nil {
			meter.undo()
		} else {
			meter.complete()
		}
		return o, err
	})
	if errors.Is(err, bucket.ErrConflict) {
		s.shared(c.Size)
		return nil
	}
	if err != nil {
		return err
	}
	s.e.setDamaged(key, false)
	s.sent.Add(int64(len(stored)))
	return nil
}

func (s *sending) body(ctx context.Context, stored []byte, m *meter) io.ReadSeeker {
	if s.limiter == nil {
		return bytes.NewReader(stored)
	}
	return &paced{ctx: ctx, body: bytes.NewReader(stored), limiter: s.limiter, read: m.add}
}

// meter reports a chunk's content in step with its stored form.
type meter struct {
	report          *reporter
	content, stored int64
	read            int64
	reported        int64
}

func (m *meter) add(n int) {
	m.read = min(m.read+int64(n), m.stored)
	m.set(m.content * m.read / m.stored)
}

func (m *meter) complete() { m.set(m.content) }
func (m *meter) undo()     { m.set(0) }

func (m *meter) set(reported int64) {
	step := reported - m.reported
	m.reported = reported
	m.report.update(func(p *Progress) { p.BytesDone += step })
}
