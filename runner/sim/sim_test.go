package sim

import (
	"flag"
	"os"
	"testing"
	"testing/synctest"
	"time"
)

var (
	firstSeed = flag.Uint64("seed", 0, "simulate this seed alone, and tell its history")
	seedCount = flag.Int("seeds", 0, "simulate so many seeds (default 25, with SPOTRELAY_SOAK 1000)")
	fromSeed  = flag.Uint64("from", 1, "the first of the seeds")
)

func TestSim(t *testing.T) {
	if *firstSeed != 0 {
		w := simulate(t, Seed(*firstSeed), nil)
		t.Logf("the history of seed %d:\n%s", *firstSeed, w.story(100_000))
		if text := w.broken(); text != "" {
			t.Fatalf("seed %d broke a promise: %s", *firstSeed, text)
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
	for i := range n {
		seed := Seed(*fromSeed + uint64(i))
		w := simulate(t, seed, nil)
		if text := w.broken(); text != "" {
			t.Errorf("seed %d broke a promise: %s\n%s\nrepeat it by: go test ./runner/sim -run TestSim -seed %d", seed, text, w.story(120), seed)
			return
		}
	}
}

// simulate is a seed's run from its submission to the end of its last instance.
func simulate(t *testing.T, seed Seed, change func(*Scenario)) (w *World) {
	t.Helper()
	home := shortTempDir(t)
	began := time.Now()
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
	if testing.Verbose() {
		t.Logf("seed %d: %d lines, %d entries, %d controllers, %d machines in %s", seed, len(w.history), w.witness.last.Seq,
			w.controllers, len(w.cloud.machines), time.Since(began).Round(time.Millisecond))
	}
	return w
}

func shortTempDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "sim")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}
