package sim

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/spotrelay/spotrelay/checkpointing"
	"github.com/spotrelay/spotrelay/checkpointing/bucket/buckettest/memory"
	"github.com/spotrelay/spotrelay/runner/job"
	"github.com/spotrelay/spotrelay/runner/store"
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

// TestMain uses what the program shares between all runs once before any of
// them: a compressor makes its channels at its first use, and a channel belongs
// to the bubble of virtual time that it is made in.
func TestMain(m *testing.M) {
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
