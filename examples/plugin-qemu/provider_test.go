//go:build linux

package main

import (
	"context"
	"debug/elf"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/spotrelay/spotrelay/providers"
	"github.com/spotrelay/spotrelay/providers/providertest"
)

// TestMain lets the test's program be what the plugin's is: a machine's keeper
// starts it anew.
func TestMain(m *testing.M) {
	if len(os.Args) == 3 && (os.Args[1] == "keep" || os.Args[1] == "dial") {
		main()
		return
	}
	os.Exit(m.Run())
}

// TestConformance holds the provider to the contract; its machines are started,
// and need not come up.
func TestConformance(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if checkStatic(self) != nil {
		t.Skip("THE CONTRACT IS NOT TESTED HERE: a machine's first process is this program, which needs libraries; set CGO_ENABLED=0")
	}
	block := machineConfig(t)
	block["agent"] = self // any program without libraries will do
	block["most"] = 3     // one is not ours
	data, err := json.Marshal(block)
	if err != nil {
		t.Fatal(err)
	}
	fleet := providers.Fleet{Name: "test", Config: data}
	anew := func(providertest.T) providers.Provider { return &provider{} }
	var request providers.LaunchRequest
	request.Count, request.Token, request.MaxLife = 1, "somebody-elses", time.Hour
	request.Offers = market(config{Most: 2, Memory: 512})[:1]
	providertest.Run(t, providertest.Options{
		New: anew, Restart: anew, Offline: anew, Fleet: fleet, Parallel: 3, Notice: 100 * time.Millisecond,
		Foreign: func(providertest.T) string {
			request.Tags = map[string]string{"owner": "somebody else"}
			result, err := (&provider{}).Launch(t.Context(), fleet, request)
			if err != nil || len(result.Instances) != 1 {
				t.Fatalf("%+v, %v", result, err)
			}
			t.Cleanup(func() { endForeign(t, fleet) })
			return result.Instances[0].ID
		},
	})
}

// endForeign ends what Terminate refuses to.
func endForeign(t *testing.T, fleet providers.Fleet) {
	ctx := context.WithoutCancel(t.Context()) // which ends before the cleanups
	all, err := (&provider{}).look(ctx, "list", fleet)
	if err != nil {
		t.Error(err)
	}
	for _, r := range all {
		if r.State == providers.StateTerminated {
			continue
		}
		if err := r.terminate(ctx); err != nil {
			t.Error(err)
		}
	}
}

func TestCheckFindsWhatIsMissing(t *testing.T) {
	dir := t.TempDir()
	fleet := providers.Fleet{Name: "f", Config: []byte(`{"folder":"` + dir + `/no","kernel":"` + dir + `/no","modules":"` + dir + `","agent":"` + dir + `/no"}`)}
	faults, err := (&provider{}).Check(t.Context(), fleet)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]bool{}
	for _, fault := range faults {
		if len(fault.Path) > 0 {
			found[fault.Path[0]] = true
		}
	}
	for _, attribute := range []string{"folder", "kernel", "modules", "agent"} {
		if !found[attribute] {
			t.Errorf("nothing is said of %s: %+v", attribute, faults)
		}
	}
}

// TestStaticPrograms: one that asks for a loader is refused.
func TestStaticPrograms(t *testing.T) {
	shell, err := filepath.EvalSymlinks("/bin/sh")
	if err != nil {
		t.Fatal(err)
	}
	program, err := elf.Open(shell)
	if err != nil {
		t.Fatal(err)
	}
	defer program.Close()
	libraries, err := program.ImportedLibraries()
	if err != nil {
		t.Fatal(err)
	}
	if got := checkStatic(shell); (got != nil) != (len(libraries) > 0) {
		t.Errorf("%s needs %q, and the answer is %v", shell, libraries, got)
	}
}
