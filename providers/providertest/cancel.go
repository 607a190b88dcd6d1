package providertest

import (
	"context"
	"errors"
	"time"

	"github.com/spotrelay/spotrelay/providers"
)

// cancelled: a call whose context has ended does not hang, and fails.
func (s *suite) cancelled(t node) {
	request := s.request(t, providers.Spot, 1)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	calls := map[string]func() error{
		"offers": func() error { _, err := s.provider.Offers(ctx, s.Fleet, s.Need); return err },
		"launch": func() error { _, err := s.launch(ctx, request); return err },
		"list":   func() error { _, err := s.provider.List(ctx, s.Fleet, request.Tags); return err },
		"terminate": func() error {
			return s.provider.Terminate(ctx, s.Fleet, []string{"no-such-instance"})
		},
		"evidence": func() error {
			_, err := s.provider.Evidence(ctx, s.Fleet, []string{"no-such-instance"})
			return err
		},
	}
	for _, name := range sortedKeys(calls) {
		t.run(name, func(t node) { s.returnsAtOnce(t, calls[name]) })
	}
}

// returnsAtOnce makes a call whose context has ended.
func (s *suite) returnsAtOnce(t T, call func() error) {
	returned := make(chan error, 1)
	go func() { returned <- call() }()
	patience := time.NewTimer(s.Wait)
	defer patience.Stop()
	select {
	case err := <-returned:
		var coded *providers.Error
		switch {
		case err == nil:
			t.Errorf("the context was cancelled before the call, and it succeeded")
		case !errors.Is(err, context.Canceled) && !errors.As(err, &coded):
			t.Errorf("the context was cancelled, and the error is neither that nor a *providers.Error: %v (%T)", err, err)
		}
	case <-patience.C:
		t.Errorf("the context was cancelled before the call, and it has not returned %s later", s.Wait)
	}
}
