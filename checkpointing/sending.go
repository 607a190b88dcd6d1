package checkpointing

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/spotrelay/spotrelay/checkpointing/bucket"
)

const (
	// leastHedge is the least time before a slow transfer is doubled.
	leastHedge = time.Second
	// firstHedge is that time while nothing is known of the store.
	firstHedge = 20 * time.Second
	// hedges bounds how many transfers of a save are doubled, beside one in
	// twenty.
	hedges = 2
)

// sending puts packs into the bucket, several at once.
type sending struct {
	e       *engine
	arena   *arena
	lanes   *lanes
	pacer   *pacer
	report  *reporter
	stored  func(*pack, []record) // told of every pack that the bucket has
	workers errgroup.Group

	sent   atomic.Int64
	packs  atomic.Int64
	hedged atomic.Int64
	// probe: a pack was there before, so look before sending the next.
	probe atomic.Bool
}

// pack sends what a buffer holds and gives the buffer back. Its failure is
// that of the whole: it cancels ctx.
func (s *sending) pack(ctx context.Context, cancel context.CancelCauseFunc, p *pack, f filled) error {
	if err := s.lanes.enter(ctx); err != nil {
		f.buffer.release()
		return err
	}
	s.workers.Go(func() error {
		defer f.buffer.release()
		start := time.Now()
		content := int64(0)
		for _, r := range f.records {
			content += int64(r.content.size)
		}
		moved, err := s.store(ctx, p, f.buffer.data[:f.used], content)
		s.lanes.leave(moved, time.Since(start))
		if err != nil {
			cancel(err)
			return err
		}
		s.stored(p, f.records)
		return nil
	})
	return nil
}

// store sees to it that the bucket has a pack and tells how much was sent.
func (s *sending) store(ctx context.Context, p *pack, data []byte, content int64) (int, error) {
	s.packs.Add(1)
	key := p.key()
	condition := bucket.IfAbsent()
	if s.e.isDamaged(key) {
		condition = bucket.Condition{}
	} else if s.probe.Load() {
		if there, err := s.isThere(ctx, p); err != nil || there {
			s.report.shared(content)
			return 0, err
		}
	}
	err := s.send(ctx, key, data, content, condition)
	if errors.Is(err, bucket.ErrConflict) {
		there, thereErr := s.isThere(ctx, p)
		if thereErr != nil {
			return 0, thereErr
		}
		if there {
			s.probe.Store(true)
			s.report.shared(content)
			return 0, nil
		}
		// Two writers at once (S3 answers 409), or an object of another size.
		err = s.send(ctx, key, data, content, bucket.Condition{})
	}
	if err != nil {
		return 0, err
	}
	s.e.setDamaged(key, false)
	s.sent.Add(int64(len(data)))
	return len(data), nil
}

// isThere tells whether the bucket has a pack in its full length.
func (s *sending) isThere(ctx context.Context, p *pack) (bool, error) {
	size, err := s.e.size(ctx, p.key())
	if errors.Is(err, bucket.ErrNotFound) {
		return false, nil
	}
	return size == p.Size, err
}

// send puts an object. When that takes much longer than usual while there is
// room for more, it is put a second time beside it: the name says what it
// holds, so it does not matter which of them comes first.
func (s *sending) send(ctx context.Context, key string, data []byte, content int64, condition bucket.Condition) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	first := &meter{report: s.report, content: content, stored: int64(len(data))}
	results := make(chan outcome, 2)
	attempt := func(m *meter) {
		results <- outcome{s.e.put(ctx, key, condition, func() error {
			m.restart()
			body := &lent{ctx: ctx, data: data, pacer: s.pacer, read: m.add}
			defer body.takeBack()
			_, err := s.e.bucket.Put(ctx, key, body, condition)
			return err
		})}
	}
	under := 1
	go attempt(first)
	var slow <-chan time.Time
	if s.pacer == nil {
		timer := time.NewTimer(s.lanes.slow(len(data)))
		defer timer.Stop()
		slow = timer.C
	}
	var err error
	for under > 0 {
		select {
		case <-slow:
			slow = nil
			if s.mayHedge() {
				under++
				go attempt(nil)
			}
		case done := <-results:
			result := done.err
			under--
			if result == nil || under == 0 && err == nil || errors.Is(result, bucket.ErrConflict) {
				err = result
				cancel() // the other one's outcome does not matter
				for ; under > 0; under-- {
					<-results
				}
			} else if err == nil {
				err = result
			}
		}
	}
	if err != nil {
		first.undo()
		return err
	}
	first.complete()
	return nil
}

// outcome is how one of the attempts to put an object ended.
type outcome struct{ err error }

// mayHedge bounds the doubling.
func (s *sending) mayHedge() bool {
	if !s.lanes.idle() {
		return false
	}
	if s.hedged.Add(1) > hedges+s.packs.Load()/20 {
		s.hedged.Add(-1)
		return false
	}
	return true
}

// meter reports a pack's content in step with its stored form.
type meter struct {
	report          *reporter
	content, stored int64

	mu       sync.Mutex
	read     int64
	reported int64
}

// add is told what was read. A nil meter counts nothing.
func (m *meter) add(n int) {
	if m == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.read = min(m.read+int64(n), m.stored)
	m.set(m.content * m.read / m.stored)
}

func (m *meter) restart() {
	if m != nil {
		m.undo()
	}
}

func (m *meter) complete() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.set(m.content)
}

func (m *meter) undo() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.read = 0
	m.set(0)
}

func (m *meter) set(reported int64) {
	if step := reported - m.reported; step != 0 {
		m.reported = reported
		m.report.update(func(p *Progress) { p.BytesDone += step })
	}
}
