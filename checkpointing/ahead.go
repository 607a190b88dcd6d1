package checkpointing

import (
	"context"
	"os"
	"path/filepath"
	"time"
)

// leastRest is how long a file is at rest where AheadOptions does not say.
const leastRest = 2 * time.Second

// Ahead implements Engine.
func (e *engine) Ahead(ctx context.Context, dir string, opts AheadOptions) (AheadResult, error) {
	start := time.Now()
	absolute, err := filepath.Abs(dir)
	if err != nil {
		return AheadResult{}, localError("save", dir, err)
	}
	below, err := os.OpenRoot(absolute)
	if err != nil {
		return AheadResult{}, localError("save", dir, err)
	}
	defer below.Close()
	leave, err := e.enter(ctx, e.copying, e.aheads)
	if err != nil {
		return AheadResult{}, saveError(err)
	}
	defer leave()
	s := newSaving(e, SaveOptions{
		Base: opts.Base, Keep: opts.Keep, BytesPerSecond: opts.BytesPerSecond, Progress: opts.Progress,
	}, &scanner{root: below, dir: absolute, keep: opts.Keep}, e.aheads)
	s.reader, s.readers, s.reads = opts.Reader, 1, newPacer(opts.ReadPerSecond)
	defer s.end()
	rest := opts.Rest
	if rest == 0 {
		rest = leastRest
	}
	result, err := s.ahead(ctx, max(rest, tick))
	s.keepForLater()
	result.BytesSent, result.BytesRead, result.Elapsed = s.send.sent.Load(), s.bytesRead, time.Since(start)
	if err != nil {
		return result, saveError(err)
	}
	return result, nil
}

// ahead reads and sends the files that are at rest.
func (s *saving) ahead(ctx context.Context, rest time.Duration) (AheadResult, error) {
	var result AheadResult
	if err := s.prepare(ctx); err != nil {
		return result, err
	}
	now, err := s.scan(ctx)
	if err != nil {
		return result, err
	}
	clock := time.Now()
	var resting []*found
	for _, f := range s.changed(now) {
		if restingFor(f.look.signature, clock) < rest {
			result.Restless++
			result.BytesRestless += f.Size
			continue
		}
		resting = append(resting, f)
	}
	result.Files = len(resting)
	if len(resting) == 0 {
		return result, nil
	}
	s.begin(now, resting)
	return result, s.read(ctx, resting)
}
