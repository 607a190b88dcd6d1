//go:build linux || darwin

package local

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/spotrelay/spotrelay/providers"
)

// ending is an ended instance.
type ending struct {
	instance providers.Instance
	evidence providers.Evidence
}

// List implements providers.Provider.
func (p *Provider) List(ctx context.Context, fleet providers.Fleet, tags map[string]string) ([]providers.Instance, error) {
	const op = "list"
	if p.fault != nil {
		return nil, wrap(op, p.fault)
	}
	folder := p.state.fleet(fleet.Name)
	p.sweepNow(folder)
	ids, err := folder.ids()
	if err != nil {
		return nil, wrap(op, err)
	}
	var instances []providers.Instance
	for _, id := range ids {
		if err := ctx.Err(); err != nil {
			return nil, wrap(op, err)
		}
		instance, _, err := p.look(folder.instance(id))
		if errors.Is(err, fs.ErrNotExist) {
			continue // removed meanwhile
		}
		if err != nil {
			return nil, wrap(op, err)
		}
		if bears(instance, tags) {
			instances = append(instances, instance)
		}
	}
	return instances, nil
}

func bears(instance providers.Instance, tags map[string]string) bool {
	for name, text := range tags {
		if have, ok := instance.Tags[name]; !ok || have != text {
			return false
		}
	}
	return true
}

// Evidence implements providers.Provider.
func (p *Provider) Evidence(_ context.Context, fleet providers.Fleet, ids []string) ([]providers.Evidence, error) {
	if p.fault != nil {
		return nil, wrap("evidence", p.fault)
	}
	found := make([]providers.Evidence, 0, len(ids))
	for _, id := range ids {
		_, evidence, err := p.look(p.state.fleet(fleet.Name).instance(id))
		if errors.Is(err, fs.ErrNotExist) {
			evidence, err = providers.Evidence{Cause: providers.EndUnknown}, nil
		}
		if err != nil {
			return nil, wrap("evidence", err)
		}
		evidence.ID = id
		found = append(found, evidence)
	}
	return found, nil
}

// look is how an instance stands. One that has lost its supervisor is ended
// here. The error is fs.ErrNotExist for an instance that is not there.
func (p *Provider) look(folder instanceFolder) (providers.Instance, providers.Evidence, error) {
	p.mu.Lock()
	old, ok := p.ended[folder]
	p.mu.Unlock()
	if ok {
		return old.instance, old.evidence, nil
	}
	var rec record
	if err := readJSON(folder.recordFile(), &rec); err != nil {
		return providers.Instance{}, providers.Evidence{}, err
	}
	evidence, err := p.evidence(folder, rec)
	if err != nil {
		return providers.Instance{}, evidence, err
	}
	instance := rec.Instance
	var s state
	if err := readJSON(folder.stateFile(), &s); err == nil {
		instance.State, instance.Isolation = s.Phase, s.Isolation
	}
	if evidence.State != providers.StateTerminated {
		evidence.State = instance.State
		if i := s.Interruption; i != nil {
			evidence.Cause, evidence.Code, evidence.At = providers.EndNoticed, codeReclaim, i.Announced.UTC()
			evidence.Message = "to be taken back at " + i.Deadline.UTC().Format(time.RFC3339)
			if i.Maintenance {
				evidence.Code = codeHost
			}
		}
		return instance, evidence, nil
	}
	instance.State = providers.StateTerminated
	p.mu.Lock()
	p.ended[folder] = ending{instance, evidence}
	p.mu.Unlock()
	return instance, evidence, nil
}

// evidence reads ended.json, or finds that the instance lives.
func (p *Provider) evidence(folder instanceFolder, rec record) (providers.Evidence, error) {
	evidence := providers.Evidence{ID: rec.Instance.ID, Cause: providers.EndRunning}
	err := readJSON(folder.endedFile(), &evidence)
	if err == nil || !errors.Is(err, fs.ErrNotExist) {
		return evidence, err
	}
	lock, err := tryLock(folder.lockFile())
	if err != nil || lock == nil {
		return evidence, err // it lives
	}
	defer lock.Close()
	if err := readJSON(folder.endedFile(), &evidence); err == nil { // written before the lock was given up
		return evidence, nil
	}
	seal(folder, rec)
	err = readJSON(folder.endedFile(), &evidence)
	return evidence, err
}

// seal ends an instance that has lost its supervisor: nothing of it is left
// running, and it is written down. The caller holds its lock.
func seal(folder instanceFolder, rec record) {
	v := verdict{providers.EndHostEvent, codeSupervisor, "its supervisor is gone: it was killed, or the machine was started anew"}
	var s state
	if err := readJSON(folder.stateFile(), &s); err != nil {
		v = verdict{providers.EndHostEvent, codeCutOff, "its launch was cut off before it started"}
	} else if s.Supervisor.Boot == bootID() {
		// Namespaces die with their supervisor; orphans of a process group are
		// told by their mark.
		_ = population{mark: markOf(rec.Instance.ID)}.kill()
		_ = cgroups(s.Cgroups).kill()
	}
	writeEnd(folder, v)
	_ = folder.loseDisk()
}

// alive counts the living instances of a fleet, in all and by pool.
func (p *Provider) alive(folder fleetFolder) (int, map[providers.Pool]int, error) {
	byPool := map[providers.Pool]int{}
	ids, err := folder.ids()
	if err != nil {
		return 0, nil, err
	}
	all := 0
	for _, id := range ids {
		instance, _, err := p.look(folder.instance(id))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return 0, nil, err
		}
		if instance.State != providers.StateTerminated {
			all++
			byPool[instance.Offer.Pool()]++
		}
	}
	return all, byPool, nil
}

// Terminate implements providers.Provider. The instances are ended at once, and
// are shown as terminated when it returns.
func (p *Provider) Terminate(ctx context.Context, fleet providers.Fleet, ids []string) error {
	if p.fault != nil {
		return wrap("terminate", p.fault)
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
	err = s.send(ctx, order{path: controlTerminate})
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
	return poll(ctx, func() (bool, error) {
		_, evidence, err := p.look(folder)
		return evidence.State == providers.StateTerminated, err
	})
}

// reach waits until a living instance's supervisor can be spoken to. It is
// false for one that has ended.
func (p *Provider) reach(ctx context.Context, folder instanceFolder) (s state, lives bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, controlPatience)
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
	folder, err := p.folder("preempt", fleet, id)
	if err != nil {
		return err
	}
	s, lives, err := p.reach(ctx, folder)
	if err == nil && lives {
		err = s.send(ctx, order{path: controlPreempt, Notice: notice})
	}
	if err == nil && !lives || errors.Is(err, errEnding) {
		return fault("preempt", providers.CodeNotFound, "instance "+id+" has ended", "list the running ones first")
	}
	return wrap("preempt", err)
}

const (
	keepEnded    = time.Hour   // how long an ended instance is listed
	keepAtLeast  = time.Minute // also among very many
	keepMost     = 128         // ended instances
	keepRuns     = 7 * 24 * time.Hour
	keepAgents   = 14 * 24 * time.Hour
	sweepBetween = 10 * time.Second
)

// sweepNow sweeps when it is time and nobody else is at it.
func (p *Provider) sweepNow(folder fleetFolder) {
	p.mu.Lock()
	due := time.Since(p.swept[folder]) >= sweepBetween
	p.mu.Unlock()
	if !due {
		return
	}
	if _, err := os.Stat(string(folder)); err != nil {
		return
	}
	if lock, err := tryLock(folder.lockFile()); err == nil && lock != nil {
		defer lock.Close()
		p.sweep(folder)
	}
}

// sweep removes what is old: ended instances, tokens past their window, runs
// and agents long unused, and what a dead launcher left. The caller holds the
// fleet's lock.
func (p *Provider) sweep(folder fleetFolder) {
	p.mu.Lock()
	due := time.Since(p.swept[folder]) >= sweepBetween
	if due {
		p.swept[folder] = time.Now()
	}
	p.mu.Unlock()
	if !due {
		return
	}
	p.sweepInstances(folder)
	removeOld(folder.tokens(), tokenWindow+time.Hour)
	removeOld(folder.runs(), keepRuns)
	removeOld(p.state.cache(), keepAgents)
}

func (p *Provider) sweepInstances(folder fleetFolder) {
	entries, _ := os.ReadDir(folder.instances())
	type old struct {
		folder instanceFolder
		at     time.Time
	}
	var ended []old
	for _, entry := range entries {
		at := instanceFolder(filepath.Join(folder.instances(), entry.Name()))
		if entry.Name()[0] == '.' { // drafts belong to whoever holds the fleet's lock
			_ = removeTree(string(at))
			continue
		}
		if info, err := os.Stat(at.endedFile()); err == nil {
			ended = append(ended, old{at, info.ModTime()})
		}
	}
	slices.SortFunc(ended, func(a, b old) int { return b.at.Compare(a.at) })
	for i, e := range ended {
		age := time.Since(e.at)
		if age < keepAtLeast || age < keepEnded && i < keepMost {
			continue
		}
		lock, err := tryLock(e.folder.lockFile())
		if err != nil || lock == nil {
			continue // its supervisor is still clearing up
		}
		gone := filepath.Join(folder.instances(), ".old-"+e.folder.id())
		if os.Rename(string(e.folder), gone) == nil {
			p.mu.Lock()
			delete(p.ended, e.folder)
			p.mu.Unlock()
			_ = removeTree(gone)
		}
		lock.Close()
	}
}

// removeOld removes the files of a folder that were not written for so long.
func removeOld(dir string, age time.Duration) {
	entries, _ := os.ReadDir(dir)
	for _, entry := range entries {
		if info, err := entry.Info(); err == nil && time.Since(info.ModTime()) > age {
			_ = os.Remove(filepath.Join(dir, entry.Name()))
		}
	}
}
