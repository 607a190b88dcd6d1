package checkpointing

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"time"

	"github.com/spotrelay/spotrelay/checkpointing/bucket"
)

const (
	// rounds bounds how often a save looks again at what changed.
	rounds = 8
	// firstPause is the wait before the second reading of what changed; it
	// doubles, up to lastPause.
	firstPause = 20 * time.Millisecond
	lastPause  = 500 * time.Millisecond
)

// Save implements Engine.
func (e *engine) Save(ctx context.Context, dir string, opts SaveOptions) (SaveResult, error) {
	start := time.Now()
	if err := bucket.CheckKey("put", opts.Key); err != nil {
		return SaveResult{}, err
	}
	if opts.ID.Attempt < 0 || opts.ID.Attempt > math.MaxInt32 || opts.ID.Sequence < 0 {
		return SaveResult{}, &Error{Code: CodeInvalid, Op: "save", What: opts.Key, Err: fmt.Errorf("the ID %+v is negative or too large", opts.ID)}
	}
	if id, ok := idOfKey(opts.Key); ok && id != opts.ID {
		return SaveResult{}, &Error{Code: CodeConflict, Op: "save", What: opts.Key, Err: fmt.Errorf("the key is that of %s and the ID that of %s", ManifestName(id), ManifestName(opts.ID))}
	}
	absolute, err := filepath.Abs(dir)
	if err != nil {
		return SaveResult{}, localError("save", dir, err)
	}
	below, err := os.OpenRoot(absolute)
	if err != nil {
		return SaveResult{}, localError("save", dir, err)
	}
	defer below.Close()

	leave, err := e.enter(ctx, e.saving, e.saves)
	if err != nil {
		return SaveResult{}, saveError(err)
	}
	defer leave()
	s := newSaving(e, opts, &scanner{root: below, dir: absolute, keep: opts.Keep}, e.saves)
	defer s.end()
	if err := s.prepare(ctx); err != nil {
		return SaveResult{}, saveError(err)
	}
	last, err := s.settle(ctx)
	if err != nil {
		s.keepForLater()
		return SaveResult{}, saveError(err)
	}
	ref, err := s.commit(ctx, last)
	if err != nil {
		s.keepForLater()
		return SaveResult{}, saveError(err)
	}
	return SaveResult{
		Ref: ref, BytesSent: s.send.sent.Load(), BytesRead: s.bytesRead, Packs: int(s.send.packs.Load()),
		Elapsed: time.Since(start), Skipped: last.skipped,
	}, nil
}

// enter waits for a turn to use an arena.
func (e *engine) enter(ctx context.Context, turn chan struct{}, a *arena) (leave func(), err error) {
	select {
	case turn <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	a.enter()
	return func() {
		a.leave()
		<-turn
	}, nil
}

// saveError gives an error that names nothing of its own a beginning.
func saveError(err error) error {
	if isOurs(err) || errors.As(err, new(*bucket.Error)) {
		return err
	}
	return fmt.Errorf("save: %w", err)
}

// saving is one save under way.
type saving struct {
	e         *engine
	opts      SaveOptions
	scanner   *scanner
	send      *sending
	epoch     *epochs
	first     *scanning          // the first scan, under way or done; nil once it is taken
	stop      context.CancelFunc // of the epoch and the first scan
	memory    memory
	base      *base
	sent      *sent // what is sent and not committed
	readers   int
	reader    func() // called by each of them first; may be nil
	reads     *pacer // nil: unbounded
	round     int
	bytesRead int64

	mu    sync.Mutex
	items map[string]*item // what is read, by path
}

func newSaving(e *engine, opts SaveOptions, scanner *scanner, a *arena) *saving {
	s := &saving{
		e: e, opts: opts, scanner: scanner, memory: e.recall(scanner.dir),
		readers: min(max(runtime.GOMAXPROCS(0), 2), 4),
	}
	s.send = &sending{
		e: e, arena: a,
		lanes:  newLanes(mostLanes),
		pacer:  newPacer(opts.BytesPerSecond),
		report: newReporter(opts.Progress),
		stored: func(p *pack, records []record) { s.sent.add(p, records) },
	}
	return s
}

// end waits for what the save has begun.
func (s *saving) end() {
	if s.stop != nil {
		s.stop()
		<-s.epoch.done
	}
	if s.first != nil {
		<-s.first.done
	}
	s.send.report.stop()
}

// prepare reads the base, and begins to look whether packs are being collected
// and what the directory holds.
func (s *saving) prepare(ctx context.Context) error {
	s.send.report.stage(StageScanning)
	beside, stop := context.WithCancel(ctx)
	s.stop = stop
	s.epoch = s.e.askEpoch(beside)
	s.first = s.scanner.begin(beside)
	if err := s.useBase(ctx); err != nil {
		return err
	}
	return s.useSent(ctx)
}

// useBase reads the base.
func (s *saving) useBase(ctx context.Context) error {
	var m *manifest
	if s.opts.Base != nil {
		var err error
		m, err = s.baseManifest(ctx, *s.opts.Base)
		switch {
		case err == nil:
		case isOurs(err):
			// All is sent then, which is slower and just as right.
			slog.Warn("checkpointing: the base of a save cannot be used", "base", s.opts.Base.Key, "error", err)
		default:
			return err
		}
	}
	s.base = newBase(s.e, m, s.opts.Urgent)
	return nil
}

// useSent takes over what was sent before and not committed, if it is sure to
// be there.
func (s *saving) useSent(ctx context.Context) error {
	s.sent = s.memory.sent
	if s.sent == nil || s.sent.empty() {
		s.sent = newSent("")
		s.base.sent = s.sent
		return nil
	}
	now, err := s.epoch.wait(ctx)
	if err != nil {
		return err
	}
	if s.sent.epoch != now.id {
		s.sent = newSent(now.id)
	}
	s.base.sent = s.sent
	return nil
}

// keepForLater remembers what was read and sent and is not committed.
func (s *saving) keepForLater() {
	if s.epoch == nil || s.sent == nil {
		return
	}
	<-s.epoch.done
	if s.epoch.err != nil {
		return
	}
	if s.sent.epoch != s.epoch.epoch.id { // it is new, and nobody else's
		s.sent.epoch = s.epoch.epoch.id
	}
	m := s.e.recall(s.scanner.dir)
	m.sent = s.sent
	if m.ref == s.memory.ref { // otherwise another save has read it since
		items := make(map[string]*item, len(s.items))
		if m.items != nil {
			maps.Copy(items, m.items())
		}
		maps.Copy(items, s.items)
		m.items = are(items)
	}
	s.e.remember(s.scanner.dir, m)
}

func (s *saving) baseManifest(ctx context.Context, ref Ref) (*manifest, error) {
	if m := s.e.recallManifest(ref); m != nil {
		return m, nil
	}
	m, _, err := s.e.manifest(ctx, "save", ref)
	return m, err
}

// keepItem notes a file as it was read.
func (s *saving) keepItem(name string, read *item) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.items[name] = read
	s.bytesRead += read.signature.size
}

// before is a file as the last save or the base has it; nil if they have none.
func (s *saving) before(name string) *item {
	if known := s.memory.known(name); known != nil {
		return known
	}
	if s.base.manifest == nil {
		return nil
	}
	return s.base.manifest.item(name)
}

// settle reads the directory until a scan finds it as it was read. That scan
// is what is committed.
func (s *saving) settle(ctx context.Context) (*scan, error) {
	pause := firstPause
	for ; ; s.round++ {
		now, err := s.scan(ctx)
		if err != nil {
			return nil, err
		}
		changed := s.changed(now)
		if len(changed) == 0 {
			return now, nil
		}
		if s.round == rounds {
			return nil, &Error{
				Code: CodeUnsettled, Op: "save", What: s.scanner.shown(changed[0].Path),
				Err:  fmt.Errorf("it kept changing while it was read %d times", rounds),
				Hint: "write to another name and rename it, or save at a moment when nothing is written",
			}
		}
		if s.round > 0 {
			if err := wait(ctx, pause); err != nil {
				return nil, err
			}
			pause = min(2*pause, lastPause)
		}
		s.begin(now, changed)
		if err := s.read(ctx, changed); err != nil {
			return nil, err
		}
	}
}

// scan looks at the directory, the first time as it was begun.
func (s *saving) scan(ctx context.Context) (*scan, error) {
	if first := s.first; first != nil {
		s.first = nil
		<-first.done // it ends with ctx
		return first.scan, first.err
	}
	return s.scanner.scan(ctx)
}

// begin reports what a round is about to read.
func (s *saving) begin(now *scan, files []*found) {
	size := int64(0)
	for _, f := range files {
		size += f.Size
	}
	s.send.report.update(func(p *Progress) {
		p.Stage = StageSending
		p.Files = now.files
		if s.round == 0 {
			p.BytesShared = now.bytes - size
		}
		p.BytesTotal = p.BytesDone + p.BytesShared + size
	})
}

// changed is the files of a scan that have not been read as they are now. The
// others are those of this save and, unless it is to read all, those that an
// earlier save or a restore knows, or the base, and the bucket has.
func (s *saving) changed(now *scan) []*found {
	if s.items == nil {
		s.items = make(map[string]*item, now.files)
	}
	var changed []*found
	for i := range now.found {
		f := &now.found[i]
		if f.Type != typeFile {
			continue
		}
		if read := s.items[f.Path]; read != nil && read.signature == f.look.signature {
			continue
		}
		delete(s.items, f.Path)
		if s.round > 0 || s.opts.Rehash {
			changed = append(changed, f)
			continue
		}
		known := s.memory.known(f.Path)
		if known == nil { // as in a new process
			known = s.base.items()[f.Path]
		}
		if known != nil && known.signature == f.look.signature && s.base.hasAll(known.parts) {
			s.items[f.Path] = known
			continue
		}
		changed = append(changed, f)
	}
	return changed
}

func wait(ctx context.Context, pause time.Duration) error {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
