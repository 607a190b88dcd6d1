//go:build linux || darwin

package local

import (
	"context"
	"errors"
	"io/fs"
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
	if err := p.ready(ctx, op); err != nil {
		return nil, err
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
func (p *Provider) Evidence(ctx context.Context, fleet providers.Fleet, ids []string) ([]providers.Evidence, error) {
	if err := p.ready(ctx, "evidence"); err != nil {
		return nil, err
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
	seal(folder, rec, nil)
	err = readJSON(folder.endedFile(), &evidence)
	return evidence, err
}

// seal ends an instance that has lost its supervisor: nothing of it is left
// running, and it is written down, with the verdict if one is given. The
// caller holds its lock.
func seal(folder instanceFolder, rec record, known *verdict) {
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
	if known != nil {
		v = *known
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
