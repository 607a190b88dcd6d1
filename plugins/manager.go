package plugins

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/agext/levenshtein"

	"github.com/spotrelay/spotrelay/providers"
)

// Options says which plugins there are and how long they may take. Zero fields
// have the defaults named.
type Options struct {
	// SelfExe is the executable that serves the built-in providers when it is
	// called as SelfExe plugin serve NAME; default: the running one.
	SelfExe string
	// Builtin providers' names. They need no checksum.
	Builtin []string
	// Path is the folders where plugins are looked for; default: DefaultPath.
	Path []string
	// LockFile with the checksums; default: DefaultLockFile("").
	LockFile string
	// Log receives what plugins print and what becomes of them, with the
	// attribute "plugin"; default: slog.Default.
	Log *slog.Logger

	// LaunchTimeout (5 min) and CallTimeout (1 min, every other call) are what
	// a plugin is told that it has. After Grace (5 s) more it is killed.
	LaunchTimeout time.Duration
	CallTimeout   time.Duration
	Grace         time.Duration
	// StartTimeout (30 s) is from the start of the process to its handshake.
	StartTimeout time.Duration

	// A plugin that crashed CrashLimit (5) times within CrashWindow (1 min) is
	// left alone until the window has moved on. Before that it is started
	// again after RestartDelay (100 ms), doubled with each crash in the window.
	CrashLimit   int
	CrashWindow  time.Duration
	RestartDelay time.Duration
}

func (o Options) withDefaults() (Options, error) {
	var errSelf, errLock error
	if o.SelfExe == "" && len(o.Builtin) > 0 {
		o.SelfExe, errSelf = os.Executable()
	}
	if o.Path == nil {
		o.Path = DefaultPath()
	}
	if o.LockFile == "" {
		o.LockFile, errLock = DefaultLockFile("")
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	o.LaunchTimeout = cmp.Or(o.LaunchTimeout, 5*time.Minute)
	o.CallTimeout = cmp.Or(o.CallTimeout, time.Minute)
	o.Grace = cmp.Or(o.Grace, 5*time.Second)
	o.StartTimeout = cmp.Or(o.StartTimeout, 30*time.Second)
	o.CrashLimit = cmp.Or(o.CrashLimit, 5)
	o.CrashWindow = cmp.Or(o.CrashWindow, time.Minute)
	o.RestartDelay = cmp.Or(o.RestartDelay, 100*time.Millisecond)
	return o, errors.Join(errSelf, errLock)
}

// Manager holds the plugin processes of this one: at most one for each
// provider. It may be used from several goroutines.
type Manager struct {
	options Options

	mu     sync.Mutex
	hosts  map[string]*host
	closed bool
}

// New makes a manager. It starts nothing and reads no file; the error is of a
// machine that has no home folder or cannot name its own executable.
func New(options Options) (*Manager, error) {
	options, err := options.withDefaults()
	if err != nil {
		return nil, err
	}
	return &Manager{options: options, hosts: map[string]*host{}}, nil
}

// Provider is the provider of that name. Its process is started by the first
// call, which also may be repeated after a crash by the provider itself, unless
// it is Launch or Preempt. It implements providers.Console and
// providers.Preempter always; Describe says whether they work.
//
// Errors are *providers.Error with CodeConfiguration: there is no such plugin,
// or its checksum is missing in the lock file or another. May be repeated and
// gives the same provider.
func (m *Manager) Provider(_ context.Context, name string) (providers.Provider, error) {
	source, err := m.source(name)
	if err != nil {
		return nil, err
	}
	if _, err := source.command(); err != nil {
		return nil, err
	}
	return m.remote(source)
}

// Executable is a provider that is served by the executable at path, wherever
// that is and whatever the lock file says: for authors who test their plugin.
func (m *Manager) Executable(path string) (providers.Provider, error) {
	if !executable(path) {
		return nil, &providers.Error{
			Code: providers.CodeConfiguration, Op: "start",
			Message: fmt.Sprintf("%s is no executable file", path),
			Hint:    "give the path of the plugin that was built",
		}
	}
	return m.remote(source{name: path, file: path, trusted: true})
}

func (m *Manager) remote(source source) (providers.Provider, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return nil, errClosed(source.name)
	}
	h := m.hosts[source.name]
	if h == nil {
		h = newHost(source, m.options)
		m.hosts[source.name] = h
	}
	return &remote{host: h, options: m.options}, nil
}

func errClosed(name string) error {
	return &providers.Error{
		Code: providers.CodeUnavailable, Op: "start",
		Message: fmt.Sprintf("plugin %s: its manager is closed", name),
	}
}

// Close ends all plugin processes and waits for their end, a few seconds at
// most. Calls that are under way fail with CodeUnavailable, and so do later
// ones. May be repeated.
func (m *Manager) Close() {
	m.mu.Lock()
	m.closed = true
	hosts := m.hosts
	m.hosts = map[string]*host{}
	m.mu.Unlock()
	var all sync.WaitGroup
	for _, h := range hosts {
		all.Go(h.close)
	}
	all.Wait()
}

// State of a plugin with respect to the lock file.
type State string

// The states of a plugin.
const (
	StateBuiltin  State = "builtin"  // part of spotrelay
	StateLocked   State = "locked"   // found, and its checksum is the lock file's
	StateUnlocked State = "unlocked" // found, and the lock file does not know it
	StateChanged  State = "changed"  // found, with another checksum
	StateMissing  State = "missing"  // in the lock file, and not found
)

// Plugin is one that the manager knows of.
type Plugin struct {
	Name   string `json:"name"`
	State  State  `json:"state"`
	File   string `json:"file,omitempty"`
	SHA256 string `json:"sha256,omitempty"` // of the file as it is
	Locked string `json:"locked,omitempty"` // as the lock file has it
}

// List is all plugins, built in, found on the path or known to the lock file,
// by name. A built-in hides a file of the same name. Nothing is started.
func (m *Manager) List() ([]Plugin, error) {
	lock, err := readLockFile(m.options.LockFile)
	if err != nil {
		return nil, err
	}
	var list []Plugin
	for _, name := range m.options.Builtin {
		list = append(list, Plugin{Name: name, State: StateBuiltin, File: m.options.SelfExe})
	}
	names := found(m.options.Path)
	for name := range lock.Plugins {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range slices.Compact(names) {
		if slices.Contains(m.options.Builtin, name) {
			continue
		}
		plugin, err := m.inspect(lock, name)
		if err != nil {
			return nil, err
		}
		list = append(list, plugin)
	}
	slices.SortFunc(list, func(a, b Plugin) int { return strings.Compare(a.Name, b.Name) })
	return list, nil
}

func (m *Manager) inspect(lock lockFile, name string) (Plugin, error) {
	plugin := Plugin{Name: name, State: StateMissing, Locked: lock.sum(name)}
	file, ok := find(m.options.Path, name)
	if !ok {
		return plugin, nil
	}
	sum, err := fileSum(file)
	if err != nil {
		return plugin, fmt.Errorf("plugin %s: %w", name, err)
	}
	plugin.File, plugin.SHA256 = file, sum
	switch plugin.Locked {
	case "":
		plugin.State = StateUnlocked
	case sum:
		plugin.State = StateLocked
	default:
		plugin.State = StateChanged
	}
	return plugin, nil
}

// Lock writes the checksums of the plugins named, or of all that are on the
// path, into the lock file, and returns them. From then on they are started as
// long as they stay the same files. The user has decided to trust them. May be
// repeated.
func (m *Manager) Lock(names ...string) ([]Plugin, error) {
	if len(names) == 0 {
		names = found(m.options.Path)
	}
	lock, err := readLockFile(m.options.LockFile)
	if err != nil {
		return nil, err
	}
	var locked []Plugin
	for _, name := range names {
		if slices.Contains(m.options.Builtin, name) {
			continue
		}
		plugin, err := m.inspect(lock, name)
		if err != nil {
			return nil, err
		}
		if plugin.State == StateMissing {
			return nil, m.errUnknown(name)
		}
		lock.set(name, plugin.SHA256)
		plugin.State, plugin.Locked = StateLocked, plugin.SHA256
		locked = append(locked, plugin)
	}
	if len(locked) == 0 {
		return nil, nil
	}
	return locked, lock.write(m.options.LockFile)
}

// LockFile is the lock file in use.
func (m *Manager) LockFile() string { return m.options.LockFile }

func (m *Manager) errUnknown(name string) error {
	e := &providers.Error{
		Code: providers.CodeConfiguration, Op: "start",
		Message: fmt.Sprintf("there is no provider plugin %q: it is not built in (%s) and no executable %s is in %s",
			name, strings.Join(m.options.Builtin, ", "), fileName(name), strings.Join(m.options.Path, ", ")),
		Hint: "put the plugin's executable into one of these folders, or set " + PathVariable,
	}
	known := append(found(m.options.Path), m.options.Builtin...)
	for _, candidate := range known {
		if levenshtein.Distance(name, candidate, nil) <= 2 {
			e.Hint = fmt.Sprintf("did you mean %q?", candidate)
		}
	}
	return e
}
