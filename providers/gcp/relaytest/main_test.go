//go:build linux

package relaytest

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/spotrelay/spotrelay/plugins"
	"github.com/spotrelay/spotrelay/providers"
	"github.com/spotrelay/spotrelay/providers/gcp"
)

// The test binary is also the plugin that the bridge starts.
const pluginVariable = "RELAYTEST_PLUGIN"

// quick is a rate that bounds nothing here, in calls a second.
const quick = 10000

// patience bounds what comes about by itself.
const patience = 2 * time.Minute

func TestMain(m *testing.M) {
	if cache := os.Getenv(pluginVariable); cache != "" {
		// A thousand deletes take 50 s at the rate that Compute's quota allows.
		rates := gcp.Rates{Read: quick, List: quick, Mutate: quick, Operation: quick, Serial: quick}
		plugins.Serve(gcp.New(gcp.Options{CacheDir: cache, Pace: 50 * time.Millisecond, Rates: rates}))
		return
	}
	code := m.Run()
	if builtIn != "" {
		_ = os.RemoveAll(builtIn) // a temporary folder
	}
	os.Exit(code)
}

// bridge starts the provider as a process of its own.
type bridge struct {
	t        testing.TB
	managers []*plugins.Manager
}

// newBridge ends what it started when the test is over, after all that is
// cleaned up by whoever is given a provider.
func newBridge(t testing.TB) *bridge {
	t.Helper()
	t.Setenv(pluginVariable, t.TempDir())
	b := &bridge{t: t}
	t.Cleanup(func() {
		for _, manager := range b.managers {
			manager.Close()
		}
	})
	return b
}

// provider is one in a new process.
func (b *bridge) provider() providers.Provider {
	b.t.Helper()
	self, err := os.Executable()
	if err != nil {
		b.t.Fatal(err)
	}
	manager, err := plugins.New(plugins.Options{LockFile: filepath.Join(b.t.TempDir(), "lock.json")})
	if err != nil {
		b.t.Fatal(err)
	}
	b.managers = append(b.managers, manager)
	provider, err := manager.Executable(self)
	if err != nil {
		b.t.Fatal(err)
	}
	return provider
}

var builtIn string

// programs are spotrelay and spotrelay-agent, built once.
var programs = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "relaytest-")
	if err != nil {
		return "", err
	}
	builtIn = dir
	build := exec.Command("go", "build", "-trimpath", "-tags", "disable_grpc_modules", "-ldflags", "-s -w", "-o", dir, "./cmd/spotrelay", "./cmd/spotrelay-agent")
	build.Dir, build.Env = repository(), append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building the programs under test: %w\n%s", err, out)
	}
	return dir, nil
})

func built(t testing.TB) string {
	t.Helper()
	dir, err := programs()
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// repository is the module's root.
func repository() string {
	_, file, _, _ := runtime.Caller(0)
	return filepath.Join(filepath.Dir(file), "..", "..", "..")
}

// goEnv is what the go command uses.
func goEnv(t testing.TB, name string) string {
	t.Helper()
	out, err := exec.Command("go", "env", name).Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}

// reached waits for a condition.
func reached(ctx context.Context, t testing.TB, what string, condition func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for !condition() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("%s did not come about: %v", what, ctx.Err())
		}
	}
}
