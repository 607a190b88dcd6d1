package checkpointing

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/spotrelay/spotrelay/checkpointing/bucket"
)

// lagging is a store in memory that keeps a bucket's promises and no other: a
// call takes its time before and after it takes place, a listing is as old as
// its first element, a write that failed may have taken place, or may do so
// later. Its times are those of the test's clock.
type lagging struct {
	most time.Duration // that a call lags, before and after
	late time.Duration // after which a failed write takes place, at most
	// bad is how many calls of a hundred fail.
	bad int

	mu      sync.Mutex
	chance  *rand.Rand
	objects map[string]kept
	writes  int64
	// effects counts the failed writes that took place, then or later.
	effects int
}

type kept struct {
	data   []byte
	object bucket.Object
}

func (b *lagging) draw(n int) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.chance.IntN(n)
}

func (b *lagging) lag(ctx context.Context, op, key string) error {
	if err := wait(ctx, time.Duration(b.draw(int(b.most)))); err != nil {
		return b.fail(op, key, err)
	}
	return nil
}

func (b *lagging) fail(op, key string, err error) error {
	return &bucket.Error{Code: bucket.CodeUnavailable, Op: op, Key: key, Err: err}
}

var errLagging = errors.New("a fault of the test")

// write lets a write take place, or fail before, or after it, or long before.
func (b *lagging) write(ctx context.Context, op, key string, effect func() error) error {
	if err := b.lag(ctx, op, key); err != nil {
		return err
	}
	if b.draw(100) < b.bad {
		switch b.draw(3) {
		case 0:
		case 1:
			b.failed(effect)
		case 2:
			time.AfterFunc(time.Duration(b.draw(int(b.late))), func() { b.failed(effect) })
		}
		return b.fail(op, key, errLagging)
	}
	if err := effect(); err != nil {
		return err
	}
	return b.lag(ctx, op, key)
}

func (b *lagging) failed(effect func() error) {
	if effect() == nil {
		b.mu.Lock()
		b.effects++
		b.mu.Unlock()
	}
}

func (b *lagging) Put(ctx context.Context, key string, body io.ReadSeeker, cond bucket.Condition) (bucket.Object, error) {
	data, err := io.ReadAll(body)
	if err != nil {
		return bucket.Object{}, b.fail("put", key, err)
	}
	var written bucket.Object
	err = b.write(ctx, "put", key, func() error {
		b.mu.Lock()
		defer b.mu.Unlock()
		before, there := b.objects[key]
		if cond.Absent && there || cond.Version != "" && before.object.Version != cond.Version {
			return &bucket.Error{Code: bucket.CodeConflict, Op: "put", Key: key}
		}
		b.writes++
		written = bucket.Object{Key: key, Size: int64(len(data)), Version: fmt.Sprint(b.writes), Modified: time.Now()}
		b.objects[key] = kept{data, written}
		return nil
	})
	return written, err
}

func (b *lagging) Delete(ctx context.Context, key string) error {
	return b.write(ctx, "delete", key, func() error {
		b.mu.Lock()
		defer b.mu.Unlock()
		delete(b.objects, key)
		return nil
	})
}

func (b *lagging) Get(ctx context.Context, key string, offset, length int64) (io.ReadCloser, bucket.Object, error) {
	if err := b.lag(ctx, "get", key); err != nil {
		return nil, bucket.Object{}, err
	}
	if b.draw(100) < b.bad {
		return nil, bucket.Object{}, b.fail("get", key, errLagging)
	}
	b.mu.Lock()
	found, there := b.objects[key]
	b.mu.Unlock()
	if !there {
		return nil, bucket.Object{}, &bucket.Error{Code: bucket.CodeNotFound, Op: "get", Key: key}
	}
	data := found.data[min(offset, int64(len(found.data))):]
	if length >= 0 {
		data = data[:min(length, int64(len(data)))]
	}
	return io.NopCloser(bytes.NewReader(data)), found.object, b.lag(ctx, "get", key)
}

func (b *lagging) List(ctx context.Context, prefix, startAfter string) iter.Seq2[bucket.Object, error] {
	return func(yield func(bucket.Object, error) bool) {
		if err := b.lag(ctx, "list", prefix); err != nil {
			yield(bucket.Object{}, err)
			return
		}
		fails := b.draw(100) < b.bad
		var found []bucket.Object
		b.mu.Lock()
		for key, k := range b.objects {
			if strings.HasPrefix(key, prefix) && key > startAfter {
				found = append(found, k.object)
			}
		}
		b.mu.Unlock()
		slices.SortFunc(found, func(x, y bucket.Object) int { return cmp.Compare(x.Key, y.Key) })
		for i, o := range found {
			if err := b.lag(ctx, "list", prefix); err != nil || fails && i == len(found)/2 {
				yield(bucket.Object{}, cmp.Or(err, b.fail("list", prefix, errLagging)))
				return
			}
			if !yield(o, nil) {
				return
			}
		}
	}
}

func (b *lagging) Describe() bucket.Description { return bucket.Description{URL: "test:lagging"} }

func (b *lagging) Close() error { return nil }

// grace is longer than a save of the test may last, with what takes place
// after it has failed.
const (
	longestSave = 2 * time.Minute
	latest      = 30 * time.Second
	grace       = 3 * time.Minute

	writers  = 3
	contents = 9
)

// TestCollectAtAnyTime runs savers, each with a series of its own and contents
// that it shares with others, beside a collector and a pruner, on a store that
// lags and fails. What was committed and not pruned is whole, at any time.
func TestCollectAtAnyTime(t *testing.T) {
	sharedCodec().encoder.EncodeAll(make([]byte, 1<<10), nil) // what it makes at first is for all tests
	work := memoryDir(t)
	for n := range contents {
		mustWrite(t, filepath.Join(work, fmt.Sprint(n)), state(uint64(n)+1))
	}
	seeds := uint64(8)
	if os.Getenv("SPOTRELAY_SOAK") != "" {
		seeds = 300
	}
	removed, effects := 0, 0
	for seed := range seeds {
		synctest.Test(t, func(t *testing.T) {
			w := &world{t: t, work: work, seed: seed, store: &lagging{
				most: 4 * time.Second, late: latest, bad: 3, chance: rand.New(rand.NewPCG(seed, 1)), objects: map[string]kept{},
			}, pinned: map[int]string{}}
			w.run()
			removed += w.removed
			effects += w.store.effects
		})
		if t.Failed() {
			t.Fatalf("with the seed %d", seed)
		}
	}
	if removed == 0 || effects == 0 {
		t.Errorf("%d packs were removed, %d failed writes took place: it shows nothing", removed, effects)
	}
}

// world is what runs at once on a store.
type world struct {
	t     *testing.T
	work  string
	seed  uint64
	store *lagging

	mu      sync.Mutex
	pinned  map[int]string // base of each saver
	saves   int
	removed int
}

func (w *world) run() {
	var savers, others sync.WaitGroup
	done := make(chan struct{})
	for n := range writers {
		savers.Go(func() { w.save(n) })
	}
	others.Go(func() { w.collect(done) })
	others.Go(func() { w.collect(done) })
	others.Go(func() { w.prune(done) })
	savers.Wait()
	close(done)
	others.Wait()
	time.Sleep(latest)
	w.check()
	if w.saves == 0 {
		w.t.Error("no save was committed")
	}
}

func (w *world) key(saver int, sequence int64) string {
	return fmt.Sprintf("runs/r/checkpoints/t/%d/0/%s", saver, ManifestName(ID{1, sequence}))
}

// save saves one directory or another, now and then as another process.
func (w *world) save(saver int) {
	chance := rand.New(rand.NewPCG(w.seed, uint64(saver)+10))
	e := Open(w.store)
	var base *Ref
	for sequence := int64(1); sequence <= 40; sequence++ {
		time.Sleep(time.Duration(chance.IntN(int(2 * grace / 3))))
		if chance.IntN(3) == 0 {
			e = Open(w.store)
		}
		if chance.IntN(2) == 0 {
			base = nil
		}
		w.pin(saver, base)
		ctx, cancel := context.WithTimeout(w.t.Context(), longestSave)
		key := w.key(saver, sequence)
		dir := filepath.Join(w.work, fmt.Sprint(chance.IntN(contents)))
		if chance.IntN(3) == 0 {
			_, _ = e.Ahead(ctx, dir, AheadOptions{Base: base}) // a fault of the store is its right
		}
		result, err := e.Save(ctx, dir, SaveOptions{Key: key, ID: ID{1, sequence}, Base: base})
		cancel()
		if err != nil {
			if bucket.CodeOf(err) != bucket.CodeUnavailable && !errors.Is(err, context.DeadlineExceeded) {
				w.t.Errorf("save %s: %v", key, err)
			}
			continue
		}
		w.mu.Lock()
		w.saves++
		w.mu.Unlock()
		base = &result.Ref
		w.pin(saver, base)
	}
}

func (w *world) pin(saver int, base *Ref) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.pinned, saver)
	if base != nil {
		w.pinned[saver] = base.Key
	}
}

func (w *world) roots(ctx context.Context) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for o, err := range w.store.List(ctx, "runs/", "") {
			if !yield(o.Key, err) {
				return
			}
		}
	}
}

func (w *world) collect(done chan struct{}) {
	for !isClosed(done) {
		result, err := Open(w.store).Collect(w.t.Context(), CollectOptions{Roots: w.roots, Grace: grace})
		if err != nil && bucket.CodeOf(err) != bucket.CodeUnavailable {
			w.t.Errorf("collect: %v", err)
		}
		w.mu.Lock()
		w.removed += result.Removed
		w.mu.Unlock()
		w.check()
		w.sweep()
		// While there is a marker saves share little, and nothing is put to the test.
		time.Sleep(time.Duration(w.store.draw(int(4 * grace))))
	}
}

// sweep removes the markers of collections that died, as a later one would
// after two days.
func (w *world) sweep() {
	w.store.mu.Lock()
	defer w.store.mu.Unlock()
	for key, k := range w.store.objects {
		if strings.HasPrefix(key, markerPrefix) && time.Since(k.object.Modified) > 5*grace {
			delete(w.store.objects, key)
		}
	}
}

// prune keeps the newest of each series, and what a save is made on.
func (w *world) prune(done chan struct{}) {
	for !isClosed(done) {
		time.Sleep(time.Minute)
		for saver := range writers {
			w.mu.Lock()
			pinned := []string{w.pinned[saver]}
			w.mu.Unlock()
			_, err := Open(w.store).Prune(w.t.Context(), PruneOptions{Prefix: filepath.ToSlash(filepath.Dir(w.key(saver, 1))) + "/", Keep: Retention{Last: 1}, Pinned: pinned})
			if err != nil && bucket.CodeOf(err) != bucket.CodeUnavailable {
				w.t.Errorf("prune: %v", err)
			}
		}
	}
}

// check looks whether the packs of each manifest that is there are there too.
func (w *world) check() {
	w.store.mu.Lock()
	defer w.store.mu.Unlock()
	for key, k := range w.store.objects {
		if !strings.HasPrefix(key, "runs/") {
			continue
		}
		m, err := decodeManifest(k.data)
		if err != nil {
			w.t.Errorf("%s: %v", key, err)
			continue
		}
		for i := range m.Packs {
			if p, there := w.store.objects[m.Packs[i].key()]; !there || p.object.Size != m.Packs[i].Size {
				w.t.Errorf("%s names %s, which is gone", key, m.Packs[i].key())
			}
		}
	}
}

func isClosed(done chan struct{}) bool {
	select {
	case <-done:
		return true
	default:
		return false
	}
}
