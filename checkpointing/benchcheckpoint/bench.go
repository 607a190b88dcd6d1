package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// measure is what one tool took for one step of one workload.
type measure struct {
	Workload string   `json:"workload"`
	Step     string   `json:"step"` // save or restore
	Tool     string   `json:"tool"`
	Samples  []usage  `json:"samples"`
	Traffic  *traffic `json:"traffic,omitempty"`
	Error    string   `json:"error,omitempty"`
}

const (
	saving    = "save"
	restoring = "restore"
)

// bench runs workloads with tools on one server.
type bench struct {
	dir    string // of the directories that are saved and restored
	server *server
	proxy  *counter
	runs   int
	count  bool // one more run, through the proxy, that is not timed
	// patience is how long the runs of a peer may take together, after which
	// no other one is begun.
	patience time.Duration
	logf     func(format string, args ...any)
	found    map[[3]string]*measure
	order    []*measure
}

func (b *bench) at(w workload, step, tool string) *measure {
	key := [3]string{w.ID, step, tool}
	m := b.found[key]
	if m == nil {
		m = &measure{Workload: w.ID, Step: step, Tool: tool}
		b.found[key] = m
		b.order = append(b.order, m)
	}
	return m
}

// Run measures w with each of the tools in turn, so that what else the machine
// does falls on all of them. A tool that fails is noted and left out from then
// on; only an end of ctx is an error.
func (b *bench) Run(ctx context.Context, w workload, tools []tool) error {
	runs := b.runs
	if b.count && w.Delay == 0 {
		runs++
	}
	spent := map[string]time.Duration{}
	for i := range runs {
		timed := i < b.runs
		for k := range tools {
			// Each begins once: memory that another one has just used is faster.
			t := tools[(k+i)%len(tools)]
			name := t.Name()
			if b.at(w, saving, name).Error != "" || b.at(w, restoring, name).Error != "" {
				continue
			}
			// What takes long is known well enough by fewer runs.
			if i > 0 && name != mine && spent[name] > b.patience {
				continue
			}
			started := time.Now()
			err := b.once(ctx, w, t, timed)
			spent[name] += time.Since(started)
			b.logf("%s: %s, run %d of %d: %.1fs", w.ID, name, i+1, runs, time.Since(started).Seconds())
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			if err != nil {
				b.logf("%s: %s failed: %v", w.ID, name, err)
				b.at(w, stepOf(err), name).Error = err.Error()
			}
		}
	}
	return nil
}

// once makes one run. What it wrote is gone afterwards.
func (b *bench) once(ctx context.Context, w workload, t tool, timed bool) (err error) {
	dir, err := os.MkdirTemp(b.dir, "run-")
	if err != nil {
		return err
	}
	at := site{Endpoint: b.server.Endpoint, CAFile: b.server.Authority.CAFile, Home: filepath.Join(dir, "home"), Repo: filepath.Base(dir)}
	defer func() { err = errors.Join(err, os.RemoveAll(dir), b.server.Forget(at.Repo)) }()
	through := !timed || w.Delay > 0
	if through {
		at.Endpoint = b.proxy.Endpoint
		if _, err := b.proxy.Take(0); err != nil {
			return err
		}
	}
	source, restored := filepath.Join(dir, "source"), filepath.Join(dir, "restored")
	if err := firstError(os.Mkdir(at.Home, 0o755), os.Mkdir(source, 0o755)); err != nil {
		return err
	}
	if err := w.lay(source); err != nil {
		return fmt.Errorf("lay the workload: %w", err)
	}
	r, err := t.Open(ctx, at)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	if w.change != nil {
		if _, isLimit := t.(limit); !isLimit { // it knows no save before
			if _, err := r.Save(ctx, source); err != nil {
				return fmt.Errorf("first save: %w", err)
			}
		}
		if err := w.change(source); err != nil {
			return fmt.Errorf("change the workload: %w", err)
		}
	}
	done := map[string]sample{}
	for _, step := range []string{saving, restoring} {
		if done[step], err = b.step(ctx, r, w, step, through, at, source, restored); err != nil {
			return &stepError{step, err}
		}
	}
	if t.Name() != bare { // which restores nothing
		if err := same(source, restored); err != nil {
			return &stepError{restoring, err}
		}
	}
	// What was not restored rightly has no figures.
	for step, s := range done {
		m := b.at(w, step, t.Name())
		if timed {
			m.Samples = append(m.Samples, s.usage)
		}
		if through {
			m.Traffic = s.traffic
		}
	}
	return nil
}

// sample is one step of one run.
type sample struct {
	usage   usage
	traffic *traffic
}

// step saves or restores, and sees whether the tool went through the proxy if
// it was to.
func (b *bench) step(ctx context.Context, r repo, w workload, step string, through bool, at site, source, restored string) (s sample, err error) {
	before, err := b.server.Stored(at.Repo)
	if err != nil {
		return s, err
	}
	if through {
		if _, err := b.proxy.Take(w.Delay); err != nil {
			return s, err
		}
	}
	if step == saving {
		s.usage, err = r.Save(ctx, source)
	} else {
		s.usage, err = r.Restore(ctx, source, restored)
	}
	if err != nil || !through {
		return s, err
	}
	if s.traffic, err = b.proxy.Take(0); err != nil {
		return s, err
	}
	if l, isLimit := r.(*limitRepo); isLimit && l.name == copying {
		return s, nil // which sends nothing
	}
	after, err := b.server.Stored(at.Repo)
	if err != nil {
		return s, err
	}
	return s, s.traffic.plausible(step, after-before, w)
}

// stepError says in which step a run failed.
type stepError struct {
	step string
	err  error
}

func (e *stepError) Error() string { return e.step + ": " + e.err.Error() }
func (e *stepError) Unwrap() error { return e.err }

// stepOf is the step that failed, the save for what comes before it.
func stepOf(err error) string {
	var failed *stepError
	if errors.As(err, &failed) {
		return failed.step
	}
	return saving
}

// same says whether two directories hold the same files with the same bytes.
func same(source, restored string) error {
	files := 0
	var buffers [2][]byte // for all files, since this process is to stay small
	for i := range buffers {
		buffers[i] = make([]byte, 256*kib)
	}
	err := filepath.WalkDir(source, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		files++
		name, err := filepath.Rel(source, path)
		if err != nil {
			return err
		}
		return sameFile(path, filepath.Join(restored, name), buffers[0], buffers[1])
	})
	if err != nil {
		return fmt.Errorf("verify what was restored: %w", err)
	}
	err = filepath.WalkDir(restored, func(_ string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			files--
		}
		return err
	})
	if err == nil && files != 0 {
		err = fmt.Errorf("verify what was restored: there are %d files too many in %s", -files, restored)
	}
	return err
}

func sameFile(one, other string, p, q []byte) error {
	a, err := os.Open(one)
	if err != nil {
		return err
	}
	defer a.Close()
	b, err := os.Open(other)
	if err != nil {
		return err
	}
	defer b.Close()
	for at := int64(0); ; at += int64(len(p)) {
		n, errA := io.ReadFull(a, p)
		m, errB := io.ReadFull(b, q)
		if !bytes.Equal(p[:n], q[:m]) {
			return fmt.Errorf("%s is not what was saved, from byte %d on", other, at)
		}
		for _, err := range []error{errA, errB} {
			if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
				return err
			}
		}
		if errA != nil {
			return nil
		}
	}
}
