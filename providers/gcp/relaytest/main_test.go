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

// patience bounds what comes about by itself.
const patience = 2 * time.Minute

func TestMain(m *testing.M) {
	if cache := os.Getenv(pluginVariable); cache != "" {
		plugins.Serve(gcp.New(gcp.Options{CacheDir: cache, Pace: 50 * time.Millisecond}))
		return
	}
	code := m.Run()
	if builtIn != "" {
		_ = os.RemoveAll(builtIn) // a temporary folder
	}
	os.Exit(code)
}

// overBridge is the provider as a process of its own.
func overBridge(t testing.TB) providers.Provider {
	t.Helper()
	t.Setenv(pluginVariable, t.TempDir())
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	manager, err := plugins.New(plugins.Options{LockFile: filepath.Join(t.TempDir(), "lock.json")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(manager.Close)
	provider, err := manager.Executable(self)
	if err != nil {
		t.Fatal(err)
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
func reached(t testing.TB, ctx context.Context, what string, condition func() bool) {
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
