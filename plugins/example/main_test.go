package main

import (
	"log/slog"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/spotrelay/spotrelay/plugins"
	"github.com/spotrelay/spotrelay/providers"
	"github.com/spotrelay/spotrelay/providers/providertest"
	"github.com/spotrelay/spotrelay/providers/providertest/memory"
)

func TestConformance(t *testing.T) {
	provider := memory.New()
	providertest.Run(t, providertest.Options{
		New:     func(providertest.T) providers.Provider { return provider },
		Fleet:   providers.Fleet{Name: "test", Config: []byte(`{"zones": ["m1"]}`)},
		Need:    providers.Need{CPUs: 2},
		Foreign: func(providertest.T) string { return provider.Foreign("test") },
		Notice:  100 * time.Millisecond,
		Wait:    time.Minute,
	})
}

// TestFromBuildToCall goes the way of an author and then of a user: build, put
// on the plugin path, lock, use.
func TestFromBuildToCall(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "spotrelay-provider-example")
	if output, err := exec.Command("go", "build", "-o", file, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	if output, err := exec.Command(file).CombinedOutput(); err == nil || len(output) == 0 {
		t.Errorf("started by a person it says %q, %v", output, err)
	}
	manager, err := plugins.New(plugins.Options{
		Path: []string{dir}, LockFile: filepath.Join(dir, plugins.LockFileName),
		Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(manager.Close)
	if _, err := manager.Lock("example"); err != nil {
		t.Fatal(err)
	}
	ok := providertest.Check(t.Context(), providertest.Options{
		New: func(providertest.T) providers.Provider {
			provider, err := manager.Provider(t.Context(), "example")
			if err != nil {
				t.Error(err)
			}
			return provider
		},
		Fleet:  providers.Fleet{Name: "test"},
		Notice: 100 * time.Millisecond,
		Wait:   time.Minute,
	}, func(r providertest.Result) { t.Log(r.Outcome, r.Name, r.Log) })
	if !ok {
		t.Error("the built plugin does not pass the conformance suite")
	}
}
