package checkpointing

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spotrelay/spotrelay/checkpointing/bucket"
)

const (
	// markerPrefix is below which a collection under way has its marker.
	//
	// Collecting and saving may overlap, since of any save at least one of
	// these holds: it began before the marker, and then its manifest is among
	// the roots that are listed after the grace; or it saw the marker, and
	// then it shares nothing but its pinned base and gives all other packs
	// names of its own, which no collection under way can have condemned.
	markerPrefix = dataPrefix + "collecting/"
	// traceKey is written before a collection deletes anything. An engine that
	// finds it as it was, and no marker, knows that all it sent before is
	// there still, though no manifest names it yet.
	traceKey = dataPrefix + "collected"
	// tracePrefix is that of both.
	tracePrefix = dataPrefix + "collect"
	// markerLife is the age, by the store's time, at which a marker is that of
	// a collection that died.
	markerLife = 48 * time.Hour
)

// Collect implements Engine.
func (e *engine) Collect(ctx context.Context, opts CollectOptions) (CollectResult, error) {
	c := &collecting{e: e, opts: opts}
	if opts.Roots == nil {
		return c.result, &Error{Code: CodeUnsafe, Op: "collect", What: dataPrefix, Err: errors.New("no roots were given, and without them everything is garbage")}
	}
	err := c.run(ctx)
	return c.result, err
}

// collecting is one collection under way.
type collecting struct {
	e      *engine
	opts   CollectOptions
	marker string
	now    time.Time // by the store
	result CollectResult
}

func (c *collecting) run(ctx context.Context) error {
	if err := c.begin(ctx); err != nil {
		return err
	}
	defer c.end(ctx)
	live, err := c.mark(ctx)
	if err != nil {
		return err
	}
	condemned, err := c.condemned(ctx, live)
	if err != nil {
		return err
	}
	if c.opts.DryRun {
		c.count(condemned)
		return nil
	}
	if err := wait(ctx, c.opts.Grace); err != nil {
		return err
	}
	if live, err = c.mark(ctx); err != nil {
		return err
	}
	return c.remove(ctx, condemned, live)
}

// begin writes the marker, by which the store's time is known too.
func (c *collecting) begin(ctx context.Context) error {
	c.marker = markerPrefix + strings.ToLower(rand.Text())
	o, err := c.e.bucket.Put(ctx, c.marker, bytes.NewReader([]byte("a collection is under way\n")), bucket.IfAbsent())
	if err != nil {
		return err
	}
	c.now = o.Modified
	return nil
}

// end removes the marker. When that fails saves share less until the next
// collection removes it, and nothing else.
func (c *collecting) end(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	_, _ = retry(ctx, func() (struct{}, error) { return struct{}{}, c.e.bucket.Delete(ctx, c.marker) })
}

// mark is the keys of the packs that the roots name. A root that vanishes
// while it is read is none any more; one that cannot be read stops the
// collection, since nobody knows what it names.
func (c *collecting) mark(ctx context.Context) (map[string]bool, error) {
	live := map[string]bool{}
	c.result.Manifests = 0
	for key, err := range c.opts.Roots(ctx) {
		if err != nil {
			return nil, fmt.Errorf("collect: the roots: %w", err)
		}
		m, _, err := c.e.manifest(ctx, "collect", Ref{Key: key})
		if errors.Is(err, &Error{Code: CodeMissing}) {
			continue
		}
		if err != nil {
			return nil, err
		}
		c.result.Manifests++
		for i := range m.Packs {
			live[m.Packs[i].key()] = true
		}
	}
	return live, nil
}

// condemned is the packs that no root names and that are older than the
// grace; leftover markers too.
func (c *collecting) condemned(ctx context.Context, live map[string]bool) ([]bucket.Object, error) {
	var condemned []bucket.Object
	for o, err := range c.e.bucket.List(ctx, dataPrefix, "") {
		if err != nil {
			return nil, err
		}
		age := c.now.Sub(o.Modified)
		if strings.HasPrefix(o.Key, markerPrefix) {
			if o.Key != c.marker && age > max(markerLife, 2*c.opts.Grace) {
				condemned = append(condemned, o)
			}
			continue
		}
		if o.Key == traceKey {
			continue
		}
		c.result.Chunks++
		if !live[o.Key] && age >= c.opts.Grace {
			condemned = append(condemned, o)
		}
	}
	return condemned, nil
}

// remove deletes what is still condemned, as long as the marker warns saves.
func (c *collecting) remove(ctx context.Context, condemned []bucket.Object, live map[string]bool) error {
	if len(condemned) == 0 {
		return nil
	}
	if _, err := c.e.bucket.Put(ctx, traceKey, bytes.NewReader([]byte(c.marker+"\n")), bucket.Condition{}); err != nil {
		return fmt.Errorf("collect: its trace: %w", err)
	}
	for i, o := range condemned {
		if live[o.Key] {
			continue
		}
		if i%1000 == 0 {
			if _, err := c.e.get(ctx, c.marker, 1<<10); err != nil {
				return fmt.Errorf("collect: its marker: %w", err)
			}
		}
		if err := c.e.bucket.Delete(ctx, o.Key); err != nil {
			return err
		}
		c.count([]bucket.Object{o})
	}
	return nil
}

// count adds packs to what was removed, or would be in a dry run.
func (c *collecting) count(removed []bucket.Object) {
	for _, o := range removed {
		if !strings.HasPrefix(o.Key, markerPrefix) {
			c.result.Removed++
			c.result.BytesRemoved += o.Size
		}
	}
}
