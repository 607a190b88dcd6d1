package checkpointing

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
)

// Verify implements Engine.
func (e *engine) Verify(ctx context.Context, ref Ref, opts VerifyOptions) (VerifyResult, error) {
	m, full, err := e.manifest(ctx, "verify", ref)
	if err != nil {
		if isDamage(err) {
			return VerifyResult{Ref: ref, Damaged: []error{err}}, nil
		}
		return VerifyResult{Ref: ref}, err
	}
	report := newReporter(opts.Progress)
	defer report.stop()
	needed := make([]int, len(m.Chunks))
	size := int64(0)
	for i := range needed {
		needed[i] = i
		size += int64(m.Chunks[i].Size)
	}
	report.update(func(p *Progress) { p.Stage, p.BytesTotal, p.Files = StageFetching, size, full.Files })
	var whole atomic.Int64
	found := &damage{names: map[string]*Error{}}
	f := &fetching{
		e: e, op: "verify", m: m, lanes: newLanes(mostLanes), pacer: newPacer(opts.BytesPerSecond),
		use: func(_ *fetcher, _ int, content []byte) error {
			whole.Add(1)
			report.update(func(p *Progress) { p.BytesDone += int64(len(content)) })
			return nil
		},
		tolerate: found.note,
	}
	if err := f.all(ctx, spansOf(m, needed), nil); err != nil {
		return VerifyResult{Ref: full}, err
	}
	return VerifyResult{Ref: full, Packs: len(m.Packs), Chunks: int(whole.Load()), Damaged: found.errors()}, nil
}

// damage collects what is damaged, each object once.
type damage struct {
	mu    sync.Mutex
	names map[string]*Error
}

// note takes an error that is about damage.
func (d *damage) note(err error) bool {
	var e *Error
	if !isDamage(err) || !errors.As(err, &e) {
		return false
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.names[e.What] == nil {
		d.names[e.What] = e
	}
	return true
}

func (d *damage) errors() []error {
	var sorted []*Error
	for _, e := range d.names {
		sorted = append(sorted, e)
	}
	slices.SortFunc(sorted, func(a, b *Error) int { return cmp.Compare(a.What, b.What) })
	var all []error
	for _, e := range sorted {
		all = append(all, e)
	}
	return all
}
