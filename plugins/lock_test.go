package plugins_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/spotrelay/spotrelay/plugins"
	"github.com/spotrelay/spotrelay/providers"
)

// onPath makes a manager whose path has one folder, with the plugins named.
func onPath(t *testing.T, names ...string) (*plugins.Manager, string) {
	t.Helper()
	dir := t.TempDir()
	for _, name := range names {
		install(t, dir, name)
	}
	manager, _ := manage(t, func(o *plugins.Options) { o.Path = []string{"no-such-folder", dir} })
	return manager, dir
}

func wantConfiguration(t *testing.T, err error, words ...string) {
	t.Helper()
	var e *providers.Error
	if !errors.As(err, &e) || e.Code != providers.CodeConfiguration {
		t.Fatalf("the error is %v; want code %q", err, providers.CodeConfiguration)
	}
	for _, word := range words {
		if !strings.Contains(e.Error(), word) {
			t.Errorf("%q does not say %q", e.Error(), word)
		}
	}
}

func TestLockedPluginRuns(t *testing.T) {
	manager, dir := onPath(t, "azure")
	locked, err := manager.Lock("azure")
	if err != nil || len(locked) != 1 || locked[0].State != plugins.StateLocked {
		t.Fatalf("%+v, %v", locked, err)
	}
	provider, err := manager.Provider(t.Context(), "azure")
	if err != nil {
		t.Fatal(err)
	}
	if d, err := provider.Describe(t.Context()); err != nil || d.Name != "memory" {
		t.Errorf("%+v, %v", d, err)
	}
	if locked[0].File != filepath.Join(dir, "spotrelay-provider-azure") {
		t.Errorf("%+v", locked[0])
	}
}

func TestUnlockedPluginIsRefused(t *testing.T) {
	manager, dir := onPath(t, "azure")
	_, err := manager.Provider(t.Context(), "azure")
	wantConfiguration(t, err, "no checksum", dir, manager.LockFile(), "spotrelay plugin lock azure")
}

func TestChangedPluginIsRefused(t *testing.T) {
	manager, dir := onPath(t, "azure")
	if _, err := manager.Lock(); err != nil {
		t.Fatal(err)
	}
	provider, err := manager.Provider(t.Context(), "azure")
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "spotrelay-provider-azure")
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte("#!/bin/sh\necho gotcha >&2\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	// The provider was had before the change, and its process not yet started.
	_, err = provider.Describe(t.Context())
	wantConfiguration(t, err, "is not the file that was locked", file, manager.LockFile(), "spotrelay plugin lock azure")
	if strings.Contains(err.Error(), "gotcha") {
		t.Error("it was started")
	}
	_, err = manager.Provider(t.Context(), "azure")
	wantConfiguration(t, err, "is not the file that was locked")
}

func TestUnknownPlugin(t *testing.T) {
	manager, dir := onPath(t, "azure")
	_, err := manager.Provider(t.Context(), "azur")
	wantConfiguration(t, err, `"azur"`, dir, "scripted", `did you mean "azure"?`)
	_, err = manager.Provider(t.Context(), "nothing-alike")
	wantConfiguration(t, err, plugins.PathVariable)
	_, err = manager.Provider(t.Context(), "../azure")
	wantConfiguration(t, err)
}

func TestOtherProtocolNamesBothVersions(t *testing.T) {
	t.Setenv(otherVariable, "7")
	manager, _ := onPath(t, "azure")
	if _, err := manager.Lock(); err != nil {
		t.Fatal(err)
	}
	provider, err := manager.Provider(t.Context(), "azure")
	if err != nil {
		t.Fatal(err)
	}
	_, err = provider.Describe(t.Context())
	wantConfiguration(t, err, "speaks version 7", "this spotrelay speaks version 1", "spotrelay-provider-azure")
}

func TestNoPluginAtAll(t *testing.T) {
	temporary := t.TempDir()
	t.Setenv("TMPDIR", temporary)
	manager, dir := onPath(t)
	file := filepath.Join(dir, "spotrelay-provider-odd")
	for _, program := range []string{"#!/bin/sh\necho odd words >&2\necho hello\n", "#!/bin/sh\necho odd words >&2; exit 4\n"} {
		if err := os.WriteFile(file, []byte(program), 0o755); err != nil {
			t.Fatal(err)
		}
		if _, err := manager.Lock("odd"); err != nil {
			t.Fatal(err)
		}
		provider, err := manager.Provider(t.Context(), "odd")
		if err != nil {
			t.Fatal(err)
		}
		_, err = provider.Describe(t.Context())
		wantUnavailable(t, err, "did not come up", "odd words")
	}
	if err := os.WriteFile(file, []byte("\x7fELF nonsense"), 0o755); err != nil {
		t.Fatal(err)
	}
	provider, err := manager.Executable(file)
	if err != nil {
		t.Fatal(err)
	}
	_, err = provider.Describe(t.Context())
	wantConfiguration(t, err, file, "executable for ")
	if left, err := os.ReadDir(temporary); err != nil || len(left) > 0 {
		t.Errorf("left in the temporary folder: %v, %v", left, err)
	}
}

func TestExecutableNeedsNoLock(t *testing.T) {
	manager, dir := onPath(t, "azure")
	provider, err := manager.Executable(filepath.Join(dir, "spotrelay-provider-azure"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := provider.Describe(t.Context()); err != nil {
		t.Error(err)
	}
	_, err = manager.Executable(filepath.Join(dir, "nothing"))
	wantConfiguration(t, err, "nothing")
}

func TestListTellsStates(t *testing.T) {
	manager, dir := onPath(t, "good", "new", "old", "scripted")
	if _, err := manager.Lock("good", "old", "scripted"); err != nil {
		t.Fatal(err)
	}
	install(t, dir, "gone")
	if _, err := manager.Lock("gone"); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"gone", "old"} {
		if err := os.Remove(filepath.Join(dir, "spotrelay-provider-"+name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "spotrelay-provider-old"), []byte("other"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "spotrelay-provider-plain"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	list, err := manager.List()
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, plugin := range list {
		got = append(got, plugin.Name+" "+string(plugin.State))
	}
	want := []string{"gone missing", "good locked", "new unlocked", "old changed", "scripted builtin"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestBrokenLockFile(t *testing.T) {
	manager, _ := onPath(t, "azure")
	for text, want := range map[string]string{
		`{`:              "not a plugin lock file",
		`{"version": 2}`: "version 2",
		`{"version": 1, "plugins": {"azure": {"linux-amd64": "beef"}}}`: `"beef" is no SHA-256`,
		`{"version": 1, "plugin": {}}`:                                  "unknown field",
	} {
		if err := os.WriteFile(manager.LockFile(), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		_, err := manager.Provider(t.Context(), "azure")
		wantConfiguration(t, err, manager.LockFile(), want)
		if _, err := manager.Lock("azure"); err == nil {
			t.Errorf("%s: Lock overwrites what it cannot read", text)
		}
	}
}

func TestLockKeepsOtherPlatforms(t *testing.T) {
	manager, _ := onPath(t, "azure")
	other := `{"version":1,"plugins":{"azure":{"plan9-arm":"` + strings.Repeat("ab", 32) + `"}}}`
	if err := os.WriteFile(manager.LockFile(), []byte(other), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := manager.Lock("azure"); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(manager.LockFile())
	if err != nil || !strings.Contains(string(data), "plan9-arm") || strings.Count(string(data), "-") < 2 {
		t.Errorf("%s, %v", data, err)
	}
}

func TestDefaultLockFile(t *testing.T) {
	config, project := t.TempDir(), t.TempDir()
	t.Setenv("XDG_CONFIG_HOME", config)
	t.Setenv("HOME", config)
	job := filepath.Join(project, "job.hcl")
	if err := os.WriteFile(job, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	user, err := plugins.DefaultLockFile(job)
	if err != nil || !strings.HasPrefix(user, config) {
		t.Errorf("without one beside the job file: %s, %v", user, err)
	}
	beside := filepath.Join(project, plugins.LockFileName)
	if err := os.WriteFile(beside, []byte("{}"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, from := range []string{job, project} {
		if got, err := plugins.DefaultLockFile(from); err != nil || got != beside {
			t.Errorf("from %s: %s, %v", from, got, err)
		}
	}
}

func TestDefaultPath(t *testing.T) {
	t.Setenv("XDG_DATA_HOME", "/data")
	t.Setenv(plugins.PathVariable, strings.Join([]string{"/a", "", "/b"}, string(os.PathListSeparator)))
	want := []string{"/a", "/b", filepath.Join("/data", "spotrelay", "plugins")}
	if got := plugins.DefaultPath(); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
