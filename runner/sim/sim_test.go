package sim

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/spotrelay/spotrelay/checkpointing"
	"github.com/spotrelay/spotrelay/checkpointing/bucket/buckettest/memory"
	"github.com/spotrelay/spotrelay/runner/job"
	"github.com/spotrelay/spotrelay/runner/store"
)

var (
	oneSeed   = flag.Uint64("seed", 0, "simulate this seed alone, and tell its history")
	seedCount = flag.Int("seeds", 0, "simulate so many seeds (default 25, with SPOTRELAY_SOAK 1000)")
	fromSeed  = flag.Uint64("from", 1, "the first of the seeds")
	allSeeds  = flag.Bool("all", false, "go on after a broken promise, and count them")
)

// TestSim simulates a run for each seed and wants every promise kept. It stops
// at the first seed that breaks one.
func TestSim(t *testing.T) {
	if *oneSeed != 0 {
		w := simulate(t, Seed(*oneSeed), nil)
		t.Logf("the history of seed %d:\n%s", *oneSeed, w.story(100_000))
		if text := w.broken(); text != "" {
			t.Fatalf("seed %d broke a promise: %s", *oneSeed, text)
		}
		return
	}
	n := *seedCount
	if n == 0 {
		n = 25
		if os.Getenv("SPOTRELAY_SOAK") != "" {
			n = 1000
		}
	}
	began := time.Now()
	var sum tally
	t.Run("seeds", func(t *testing.T) {
		for i := range runtime.GOMAXPROCS(0) {
			t.Run(fmt.Sprint(i), func(t *testing.T) {
				t.Parallel()
				for seed := uint64(i); seed < uint64(n); seed += uint64(runtime.GOMAXPROCS(0)) {
					if sum.broken() > 0 && !*allSeeds {
						return
					}
					sum.add(t, Seed(*fromSeed+seed))
				}
			})
		}
	})
	t.Logf("%d seeds in %s: %s", n, time.Since(began).Round(time.Second), &sum)
}

// tally is what came of the seeds.
type tally struct {
	mu       sync.Mutex
	seeds    int
	bad      map[string]int // by the promise that was broken
	entries  int64
	lives    int
	machines int
}

func (s *tally) broken() (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, m := range s.bad {
		n += m
	}
	return n
}

func (s *tally) String() string {
	text := fmt.Sprintf("%d journal entries, %d controllers, %d machines", s.entries, s.lives, s.machines)
	for promise, n := range s.bad {
		text += fmt.Sprintf("; %q broken in %d", promise, n)
	}
	return text
}

func (s *tally) add(t *testing.T, seed Seed) {
	w := simulate(t, seed, nil)
	text := w.broken()
	s.mu.Lock()
	s.seeds++
	s.entries += w.witness.last.Seq
	s.lives += w.controllers
	s.machines += len(w.cloud.machines)
	if text != "" {
		if s.bad == nil {
			s.bad = map[string]int{}
		}
		promise, _, _ := strings.Cut(text, ":")
		s.bad[promise]++
	}
	s.mu.Unlock()
	switch {
	case text == "":
	case *allSeeds:
		t.Errorf("seed %d broke a promise: %s", seed, text)
	default:
		short, found := shrink(t, seed)
		t.Errorf("seed %d broke a promise: %s\nthe shortest history found, %s:\n%s\nrepeat it by: go test ./runner/sim -run TestSim -seed %d -v",
			seed, short.broken(), found, short.story(150), seed)
	}
}

// shrink looks for a shorter history that breaks a promise: without one fault
// after another, with fewer tasks and indexes.
func shrink(t *testing.T, seed Seed) (shortest *World, how string) {
	changes := map[string]func(*Scenario){}
	try := func(name string, change func(*Scenario)) {
		changes[name] = change
		w := simulate(t, seed, func(s *Scenario) {
			for _, name := range slices.Sorted(maps.Keys(changes)) {
				changes[name](s)
			}
		})
		switch {
		case w.broken() == "":
			delete(changes, name)
		default:
			shortest = w
		}
	}
	try("as it is", func(*Scenario) {})
	for i, rate := range (&Faults{}).rates() {
		try("without "+rate.name, func(s *Scenario) { *s.Faults.rates()[i].value = 0 })
	}
	for n := 1; n <= 2; n++ {
		try(fmt.Sprintf("with %d tasks", n), func(s *Scenario) { s.Spec.Tasks = s.Spec.Tasks[:min(n, len(s.Spec.Tasks))] })
	}
	try("with one index each", func(s *Scenario) {
		for i := range s.Spec.Tasks {
			s.Spec.Tasks[i].Count, s.Spec.Tasks[i].Array = 1, false
		}
	})
	if shortest == nil {
		return simulate(t, seed, nil), "which did not come again: it hangs on how goroutines interleave"
	}
	return shortest, strings.Join(slices.Sorted(maps.Keys(changes)), ", ")
}

// simulate is a seed's run from its submission to the end of its last instance.
func simulate(t *testing.T, seed Seed, change func(*Scenario)) (w *World) {
	t.Helper()
	home := tempHome(t)
	defer os.RemoveAll(home)
	synctest.Test(t, func(t *testing.T) {
		scenario, err := seed.scenario(time.Now())
		if err != nil {
			t.Fatal(err)
		}
		if change != nil {
			change(&scenario)
		}
		w = newWorld(t.Context(), seed, scenario.Spec, scenario.Faults, home)
		if err := w.run(); err != nil {
			t.Fatal(err)
		}
	})
	return w
}

// tempHome is a folder for the machines, in memory where there is one.
func tempHome(t *testing.T) string {
	t.Helper()
	for _, parent := range []string{"/dev/shm", ""} {
		if dir, err := os.MkdirTemp(parent, "sim"); err == nil {
			return dir
		}
	}
	t.Fatal("there is no temporary folder")
	return ""
}

// TestMain uses what the program shares between all runs once before any of
// them: a compressor makes its channels at its first use, and a channel belongs
// to the bubble of virtual time that it is made in.
func TestMain(m *testing.M) {
	debug.SetGCPercent(400) // many small worlds, each soon gone
	if err := warmUp(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

func warmUp() error {
	ctx := context.Background()
	b := memory.New("warm")
	dir, err := os.MkdirTemp("", "sim")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := os.WriteFile(filepath.Join(dir, "file"), bytes.Repeat([]byte("text "), 100_000), 0o600); err != nil {
		return err
	}
	engine := checkpointing.Open(b)
	saved, err := engine.Save(ctx, dir, checkpointing.SaveOptions{Key: "warm/" + checkpointing.ManifestName(checkpointing.ID{Attempt: 1, Sequence: 1}), ID: checkpointing.ID{Attempt: 1, Sequence: 1}})
	if err != nil {
		return err
	}
	if err := engine.Restore(ctx, saved.Ref, dir, checkpointing.RestoreOptions{}); err != nil {
		return err
	}
	long := store.Entry{Version: job.SpecVersion, Seq: 1, Epoch: 1, Now: 1, Nonce: strings.Repeat("long ", 10_000)}
	data, err := store.EncodeEntry(long)
	if err == nil {
		_, err = store.DecodeEntry("entry", data)
	}
	return err
}
