package checkpointing

import (
	"context"
	"sync"
)

// filled is a buffer with what a job found that the bucket lacks.
type filled struct {
	number  int
	buffer  *buffer
	used    int
	records []record
	last    bool // nothing more comes of this job
}

// sequence takes filled buffers in the order of their jobs, leaves out what
// came before, gathers what is little, and sends packs.
type sequence struct {
	s      *saving
	ctx    context.Context
	cancel context.CancelCauseFunc

	mu sync.Mutex
	// waiting are the buffers of jobs whose turn has not come.
	waiting map[int][]filled
	next    int
	met     map[digest]*content
	timed   bool // the lanes know how long an answer takes
	// gathered is the buffer that is being filled up.
	gathered filled
}

// enough is how full a buffer is sent as it is, instead of being filled up.
const enough = packSize * 3 / 4

func newSequence(ctx context.Context, cancel context.CancelCauseFunc, s *saving) *sequence {
	return &sequence{s: s, ctx: ctx, cancel: cancel, waiting: map[int][]filled{}, met: map[digest]*content{}}
}

// deliver takes a buffer.
func (q *sequence) deliver(f filled) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.waiting[f.number] = append(q.waiting[f.number], f)
	for {
		row := q.waiting[q.next]
		if len(row) == 0 {
			return nil
		}
		delete(q.waiting, q.next)
		for i, f := range row {
			if err := q.add(f); err != nil {
				release(row[i+1:])
				return err
			}
			if f.last {
				q.next++
			}
		}
	}
}

// add adds a buffer to what is gathered, or sends it.
func (q *sequence) add(f filled) error {
	f = q.leaveOut(f)
	switch {
	case f.used == 0:
		f.buffer.release()
		return nil
	case f.used >= enough:
		return q.send(f)
	case q.gathered.used+f.used > packSize:
		full := q.gathered
		q.gathered = f
		return q.send(full)
	case q.gathered.buffer == nil:
		q.gathered = f
		return nil
	}
	g := &q.gathered
	copy(g.buffer.data[g.used:], f.buffer.data[:f.used])
	for _, r := range f.records {
		r.offset += g.used
		g.records = append(g.records, r)
	}
	g.used += f.used
	f.buffer.release()
	return nil
}

// leaveOut leaves out what this save has met before.
func (q *sequence) leaveOut(f filled) filled {
	kept, end := f.records[:0], 0
	for _, r := range f.records {
		if first := q.met[r.content.digest]; first != nil {
			r.content.same = first
			q.s.send.report.shared(int64(r.content.size))
			continue
		}
		q.met[r.content.digest] = r.content
		if r.offset != end {
			copy(f.buffer.data[end:], f.buffer.data[r.offset:r.offset+r.stored])
			r.offset = end
		}
		end += r.stored
		kept = append(kept, r)
	}
	f.records, f.used = kept, end
	return f
}

// send names a pack and hands it on.
func (q *sequence) send(f filled) error {
	epoch, err := q.s.epoch.wait(q.ctx)
	if err != nil {
		f.buffer.release()
		return err
	}
	if !q.timed {
		q.timed = true
		q.s.send.lanes.answered(q.s.epoch.took)
	}
	p := &pack{Name: namePack(f.records), Salt: epoch.salt, Size: int64(f.used)}
	for _, r := range f.records {
		r.content.pack, r.content.offset, r.content.stored = p, r.offset, r.stored
	}
	return q.s.send.pack(q.ctx, q.cancel, p, f)
}

// finish sends the rest, if all went well, and waits until everything is sent.
func (q *sequence) finish() {
	q.mu.Lock()
	defer q.mu.Unlock()
	rest := q.gathered
	q.gathered = filled{}
	switch {
	case rest.buffer == nil:
	case q.ctx.Err() != nil:
		rest.buffer.release()
	default:
		if err := q.send(rest); err != nil {
			q.cancel(err)
		}
	}
	for _, row := range q.waiting {
		release(row)
	}
	_ = q.s.send.workers.Wait() // its error is the cause of the cancelling
}

func release(row []filled) {
	for _, f := range row {
		f.buffer.release()
	}
}
