//go:build linux || darwin

package local

import (
	"os"
	"path/filepath"
	"slices"
	"time"
)

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
