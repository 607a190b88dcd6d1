package checkpointing

import (
	"context"
	"time"
)

// epoch is what a save sees of collections.
type epoch struct {
	// id changes whenever a collection begins or has deleted anything.
	id string
	// salt sets the packs of a save apart while a collection is under way.
	salt string
}

// epochs is an epoch that is being asked for.
type epochs struct {
	done  chan struct{}
	epoch epoch
	took  time.Duration
	err   error
}

// askEpoch lists what collections have written. It goes on until ctx ends.
func (e *engine) askEpoch(ctx context.Context) *epochs {
	asked := &epochs{done: make(chan struct{})}
	go func() {
		defer close(asked.done)
		asked.epoch, asked.took, asked.err = e.listEpoch(ctx)
	}()
	return asked
}

// wait is the answer.
func (a *epochs) wait(ctx context.Context) (epoch, error) {
	select {
	case <-a.done:
		return a.epoch, a.err
	case <-ctx.Done():
		return epoch{}, context.Cause(ctx)
	}
}

func (e *engine) listEpoch(ctx context.Context) (epoch, time.Duration, error) {
	var took time.Duration
	found, err := retry(ctx, func() (epoch, error) {
		start := time.Now()
		defer func() { took = time.Since(start) }()
		var found epoch
		markers := ""
		for o, err := range e.bucket.List(ctx, tracePrefix, "") {
			if err != nil {
				return epoch{}, err
			}
			switch {
			case o.Key == traceKey:
				found.id = o.Version
			default:
				markers += "\x00" + o.Key
			}
		}
		found.id += markers
		if markers != "" {
			found.salt = digestOf([]byte(markers)).String()[:16]
		}
		return found, nil
	})
	return found, took, err
}
