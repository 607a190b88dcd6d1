//go:build unix

package plugins_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/gofrs/flock"

	"github.com/spotrelay/spotrelay/plugins"
	"github.com/spotrelay/spotrelay/providers"
	"github.com/spotrelay/spotrelay/providers/providertest"
)

func TestConformanceOverAProcess(t *testing.T) {
	manager, _ := manage(t, nil)
	providertest.Run(t, providertest.Options{
		New: func(t providertest.T) providers.Provider {
			provider, err := manager.Provider(t.Context(), "scripted")
			if err != nil {
				t.Errorf("%v", err)
				t.FailNow()
			}
			return provider
		},
		Fleet:  providers.Fleet{Name: "here", Config: []byte(`{"zones":["m1"]}`)},
		Notice: 50 * time.Millisecond,
		Wait:   10 * time.Second,
	})
}

func TestCrashIsToldAndForgiven(t *testing.T) {
	manager, log := manage(t, nil)
	provider := scriptedProvider(t, manager)
	before := pid(t, provider)
	_, err := provider.Launch(t.Context(), fleet("panic", ""), providers.LaunchRequest{Token: "t"})
	wantUnavailable(t, err, "launch", "scripted", "panic: of the plugin's own making")
	if after := pid(t, provider); after == before {
		t.Errorf("process %d answers after its crash", after)
	}
	if text := log.String(); !strings.Contains(text, `"msg":"plugin lost"`) || !strings.Contains(text, "panic: of the plugin's own making") {
		t.Errorf("the log does not tell of the crash:\n%s", text)
	}
}

func TestRepeatableCallIsRepeatedOnce(t *testing.T) {
	manager, _ := manage(t, nil)
	provider := scriptedProvider(t, manager)
	file := filepath.Join(t.TempDir(), "first")
	if _, err := provider.List(t.Context(), fleet("exit-first", file), nil); err != nil {
		t.Errorf("List, which may be repeated, was not: %v", err)
	}
	wantSize(t, file, 2)

	file = filepath.Join(t.TempDir(), "always")
	_, err := provider.List(t.Context(), fleet("exit-always", file), nil)
	wantUnavailable(t, err)
	wantSize(t, file, 2)
}

func TestLaunchIsNotRepeated(t *testing.T) {
	manager, _ := manage(t, nil)
	file := filepath.Join(t.TempDir(), "launches")
	_, err := scriptedProvider(t, manager).Launch(t.Context(), fleet("exit-first", file), providers.LaunchRequest{Token: "t"})
	wantUnavailable(t, err)
	wantSize(t, file, 1)
}

func wantSize(t *testing.T, file string, want int64) {
	t.Helper()
	info, err := os.Stat(file)
	if err != nil || info.Size() != want {
		t.Errorf("the call was made %d times; want %d (%v)", info.Size(), want, err)
	}
}

func TestCrashesAreBounded(t *testing.T) {
	manager, _ := manage(t, func(o *plugins.Options) {
		o.CrashLimit, o.CrashWindow = 3, time.Hour
	})
	provider := scriptedProvider(t, manager)
	file := filepath.Join(t.TempDir(), "launches")
	for range 3 {
		_, err := provider.Launch(t.Context(), fleet("exit", file), providers.LaunchRequest{})
		wantUnavailable(t, err, "exit status 3")
	}
	_, err := provider.Launch(t.Context(), fleet("exit-always", file), providers.LaunchRequest{})
	e := wantUnavailable(t, err, "crashed 3 times within 1h0m0s", "about to exit")
	if e.After <= 0 || e.After > time.Hour || e.Op != "launch" {
		t.Errorf("%+v", e)
	}
	if _, err := os.Stat(file); err == nil {
		t.Error("it was started a fourth time")
	}
}

func TestHangIsCutOff(t *testing.T) {
	manager, _ := manage(t, func(o *plugins.Options) {
		o.CallTimeout, o.Grace = 300*time.Millisecond, 100*time.Millisecond
	})
	provider := scriptedProvider(t, manager)
	first := eventuallyPid(t, provider)
	_, err := provider.List(t.Context(), fleet("hang", ""), nil)
	wantUnavailable(t, err, "did not answer within 300ms", "killed")
	if gone := syscall.Kill(first, 0); gone == nil {
		t.Errorf("process %d hangs on", first)
	}
	if second := eventuallyPid(t, provider); second == first {
		t.Errorf("process %d answers after it was killed", second)
	}
}

// eventuallyPid is pid for a provider whose calls may time out on a busy
// machine.
func eventuallyPid(t *testing.T, provider providers.Provider) int {
	t.Helper()
	eventually(t, "a call that ends in time", func() bool {
		_, err := provider.List(t.Context(), fleet("pid", ""), nil)
		return err == nil
	})
	return pid(t, provider)
}

func TestOneSlowCallCostsNoOther(t *testing.T) {
	manager, _ := manage(t, func(o *plugins.Options) {
		o.CallTimeout, o.Grace = 300*time.Millisecond, time.Minute
	})
	provider := scriptedProvider(t, manager)
	before := eventuallyPid(t, provider)
	_, err := provider.List(t.Context(), fleet("wait", ""), nil)
	if providers.CodeOf(err) != providers.CodeThrottled {
		t.Errorf("the plugin's own words at the deadline are lost: %v", err)
	}
	if after := eventuallyPid(t, provider); after != before {
		t.Error("a plugin that kept its deadline was killed")
	}
}

func TestCallersContext(t *testing.T) {
	manager, _ := manage(t, nil)
	provider := scriptedProvider(t, manager)
	before := pid(t, provider)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	_, err := provider.List(ctx, fleet("hang", ""), nil)
	if !errors.Is(err, context.DeadlineExceeded) || providers.CodeOf(err) != providers.CodeUnavailable {
		t.Errorf("%v", err)
	}
	if after := pid(t, provider); after != before {
		t.Error("the caller's own deadline killed the plugin")
	}
}

func TestNoisyPlugin(t *testing.T) {
	manager, log := manage(t, nil)
	if _, err := scriptedProvider(t, manager).List(t.Context(), fleet("noise", ""), nil); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`"level":"WARN","msg":"a warning","plugin":"scripted","bytes":7,"zone":"m1"`,
		`"msg":"moved standard error","plugin":"scripted"`,
		`"msg":"plain words","plugin":"scripted"`,
		`xxx ... (3137536 bytes more)"`,
	} {
		eventually(t, want, func() bool { return strings.Contains(log.String(), want) })
	}
	for line := range strings.Lines(log.String()) {
		if len(line) > 16<<10 {
			t.Errorf("a log line of %d bytes: %.80s...", len(line), line)
		}
	}
}

func TestPluginHasItsOwnProcessGroup(t *testing.T) {
	manager, _ := manage(t, nil)
	plugin := pid(t, scriptedProvider(t, manager))
	group, err := syscall.Getpgid(plugin)
	if err != nil || group != plugin {
		t.Errorf("process %d is in group %d (%v); ours is %d", plugin, group, err, syscall.Getpgrp())
	}
}

func TestPluginEndsWithItsParent(t *testing.T) {
	file, temporary := filepath.Join(t.TempDir(), "held"), t.TempDir()
	command := startParent(t, file, temporary)
	lock := flock.New(file)
	if got, err := lock.TryLock(); got || err != nil {
		t.Fatalf("the plugin does not hold its lock: %v, %v", got, err)
	}
	if err := command.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the plugin's end", func() bool {
		got, err := lock.TryLock()
		if err != nil {
			t.Fatal(err)
		}
		return got
	})
	left, err := os.ReadDir(temporary)
	if err != nil || len(left) > 0 {
		t.Errorf("left in the temporary folder: %v, %v", left, err)
	}
}

func TestCloseEndsProcesses(t *testing.T) {
	manager, _ := manage(t, nil)
	provider := scriptedProvider(t, manager)
	file := filepath.Join(t.TempDir(), "held")
	if _, err := provider.List(t.Context(), fleet("hold", file), nil); err != nil {
		t.Fatal(err)
	}
	manager.Close()
	if got, err := flock.New(file).TryLock(); !got || err != nil {
		t.Errorf("the plugin lives on: %v, %v", got, err)
	}
	_, err := provider.List(t.Context(), fleet("pid", ""), nil)
	wantUnavailable(t, err, "closed")
	_, err = manager.Provider(t.Context(), "scripted")
	wantUnavailable(t, err, "closed")
	manager.Close()
}

func TestCloseEndsAStoppedProcess(t *testing.T) {
	manager, _ := manage(t, nil)
	provider := scriptedProvider(t, manager)
	plugin := pid(t, provider)
	if err := syscall.Kill(plugin, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	manager.Close()
	if err := syscall.Kill(plugin, 0); err == nil {
		t.Error("the plugin lives on")
	}
}

func TestEnvironment(t *testing.T) {
	t.Setenv("A_CLOUD_CREDENTIAL", "secret")
	manager, _ := manage(t, nil)
	variables, err := scriptedProvider(t, manager).List(t.Context(), fleet("environment", ""), nil)
	if err != nil {
		t.Fatal(err)
	}
	passed := false
	for _, variable := range variables {
		passed = passed || variable.ID == "A_CLOUD_CREDENTIAL=secret"
		if strings.HasPrefix(variable.ID, "PLUGIN_") || strings.HasPrefix(variable.ID, plugins.CookieKey) {
			t.Errorf("left for what the provider starts: %.40s", variable.ID)
		}
	}
	if !passed {
		t.Error("credentials in the environment do not reach the plugin")
	}
}

// TestLeftProcessIsNoHindrance: what a plugin leaves behind, as an instance of
// the local provider is, may hold its pipes for ever.
func TestLeftProcessIsNoHindrance(t *testing.T) {
	manager, _ := manage(t, nil)
	left, err := scriptedProvider(t, manager).List(t.Context(), fleet("leave-child", ""), nil)
	if err != nil {
		t.Fatal(err)
	}
	child, err := strconv.Atoi(left[0].ID)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Kill(child, syscall.SIGKILL) })
	closed := make(chan struct{})
	go func() {
		manager.Close()
		close(closed)
	}()
	select {
	case <-closed:
	case <-time.After(20 * time.Second):
		t.Fatal("Close waits for a process that the plugin left behind")
	}
	if err := syscall.Kill(child, 0); err != nil {
		t.Errorf("the process that the plugin left behind is gone: %v", err)
	}
}

func TestCallsAtTheSameTime(t *testing.T) {
	manager, _ := manage(t, nil)
	provider := scriptedProvider(t, manager)
	pids := make([]string, 20)
	var all sync.WaitGroup
	for i := range pids {
		all.Go(func() {
			instances, err := provider.List(t.Context(), fleet("pid", ""), nil)
			if err != nil {
				t.Error(err)
				return
			}
			pids[i] = instances[0].ID
		})
	}
	all.Wait()
	for _, id := range pids {
		if id != pids[0] {
			t.Fatalf("several processes for one plugin: %q", pids)
		}
	}
}
