//go:build linux || darwin

package local

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/spotrelay/spotrelay/providers"
)

// Terminate implements providers.Provider. The instances are ended at once, and
// are shown as terminated when it returns.
func (p *Provider) Terminate(ctx context.Context, fleet providers.Fleet, ids []string) error {
	if err := p.ready(ctx, "terminate"); err != nil {
		return err
	}
	folders := make([]instanceFolder, 0, len(ids))
	for _, id := range ids {
		folder := p.state.fleet(fleet.Name).instance(id)
		instance, _, err := p.look(folder)
		if errors.Is(err, fs.ErrNotExist) {
			continue // gone
		}
		if err != nil {
			return wrap("terminate", err)
		}
		if instance.Tags[providers.TagBucket] == "" || instance.Tags[providers.TagRun] == "" {
			return fault("terminate", providers.CodeNotOurs, "instance "+id+" does not bear spotrelay's tags", "end it by hand if it must go")
		}
		folders = append(folders, folder)
	}
	faults := make([]error, len(folders))
	var all sync.WaitGroup
	for i, folder := range slices.Compact(slices.Sorted(slices.Values(folders))) {
		all.Go(func() { faults[i] = p.terminate(ctx, folder) })
	}
	all.Wait()
	return wrap("terminate", errors.Join(faults...))
}

func (p *Provider) terminate(ctx context.Context, folder instanceFolder) error {
	s, lives, err := p.reach(ctx, folder)
	if err != nil || !lives {
		return err
	}
	err = s.send(ctx, order{path: controlTerminate}, p.patience)
	if err == nil || errors.Is(err, errEnding) {
		return nil
	}
	if _, evidence, lookErr := p.look(folder); errors.Is(lookErr, fs.ErrNotExist) || lookErr == nil && evidence.State == providers.StateTerminated {
		return nil // it ended meanwhile
	}
	if ctx.Err() != nil || !s.Supervisor.alive() {
		return err
	}
	// The supervisor is stuck. The instance ends with it.
	if killErr := syscall.Kill(s.Supervisor.PID, syscall.SIGKILL); killErr != nil {
		return errors.Join(err, killErr)
	}
	return poll(ctx, func() (bool, error) { return p.sealOurs(folder) })
}

// sealOurs ends an instance whose supervisor was killed by a terminate call,
// once its lock is free.
func (p *Provider) sealOurs(folder instanceFolder) (bool, error) {
	lock, err := tryLock(folder.lockFile())
	if err != nil || lock == nil {
		return errors.Is(err, fs.ErrNotExist), err
	}
	defer lock.Close()
	var rec record
	if err := readJSON(folder.recordFile(), &rec); err != nil {
		return false, err
	}
	if _, err := os.Stat(folder.endedFile()); errors.Is(err, fs.ErrNotExist) {
		seal(folder, rec, &verdict{providers.EndByUs, codeOurs, "ended by a terminate call; its supervisor was stuck and was killed"})
	}
	return true, nil
}

// reach waits until a living instance's supervisor can be spoken to. It is
// false for one that has ended.
func (p *Provider) reach(ctx context.Context, folder instanceFolder) (s state, lives bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, p.patience)
	defer cancel()
	err = poll(ctx, func() (bool, error) {
		_, evidence, err := p.look(folder)
		if errors.Is(err, fs.ErrNotExist) || err == nil && evidence.State == providers.StateTerminated {
			return true, nil
		}
		if err != nil {
			return false, err
		}
		lives = readJSON(folder.stateFile(), &s) == nil
		return lives, nil
	})
	if err != nil {
		err = fmt.Errorf("the supervisor of %s does not show itself: %w", folder.id(), err)
	}
	return s, lives, err
}

// Preempt implements providers.Preempter.
func (p *Provider) Preempt(ctx context.Context, fleet providers.Fleet, id string, notice time.Duration) error {
	folder, err := p.folder(ctx, "preempt", fleet, id)
	if err != nil {
		return err
	}
	s, lives, err := p.reach(ctx, folder)
	if err == nil && lives {
		err = s.send(ctx, order{path: controlPreempt, Notice: notice}, p.patience)
	}
	if err == nil && !lives || errors.Is(err, errEnding) {
		return fault("preempt", providers.CodeNotFound, "instance "+id+" has ended", "list the running ones first")
	}
	return wrap("preempt", err)
}
