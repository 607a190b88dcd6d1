//go:build linux || darwin

package local

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/spotrelay/spotrelay/providers"
)

// The state folder:
//
//	cache/<sha256>                agent programs
//	fleets/<fleet>/lock           held while a launch decides
//	fleets/<fleet>/tokens/<token> what a launch token rented
//	fleets/<fleet>/runs/<run>     what a run has asked for so far
//	fleets/<fleet>/instances/<id> an instance: see instanceFolder
//
// Names that begin with a dot are on their way in or out.
type stateFolder string

func defaultStateDir() (string, error) {
	if dir := os.Getenv("SPOTRELAY_LOCAL_DIR"); dir != "" {
		return filepath.Abs(dir)
	}
	if dir := os.Getenv("XDG_STATE_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "spotrelay", "local"), nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", err
	}
	return filepath.Join(home, ".local", "state", "spotrelay", "local"), nil
}

func (s stateFolder) cache() string { return filepath.Join(string(s), "cache") }

func (s stateFolder) fleet(fleet string) fleetFolder {
	return fleetFolder(filepath.Join(string(s), "fleets", safeName(fleet)))
}

// safeName makes any text one file name that begins with no dot.
func safeName(text string) string {
	escaped := url.PathEscape(text)
	if escaped == "" || strings.HasPrefix(escaped, ".") {
		escaped = "%" + escaped
	}
	return escaped
}

type fleetFolder string

func (f fleetFolder) lockFile() string  { return filepath.Join(string(f), "lock") }
func (f fleetFolder) tokens() string    { return filepath.Join(string(f), "tokens") }
func (f fleetFolder) runs() string      { return filepath.Join(string(f), "runs") }
func (f fleetFolder) instances() string { return filepath.Join(string(f), "instances") }
func (f fleetFolder) instance(id string) instanceFolder {
	return instanceFolder(filepath.Join(f.instances(), safeName(id)))
}

// ids lists the instances that have a folder.
func (f fleetFolder) ids() ([]string, error) {
	entries, err := os.ReadDir(f.instances())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var ids []string
	for _, entry := range entries {
		if !strings.HasPrefix(entry.Name(), ".") {
			ids = append(ids, entry.Name())
		}
	}
	return ids, err
}

// instanceFolder holds one instance:
//
//	lock           held by the supervisor as long as the instance lives
//	instance.json  what was rented; never changes
//	state.json     how it is doing; written by the supervisor
//	ended.json     how it ended; written once
//	console.log    what it said
//	home, tmp, bin its disk; gone with it
type instanceFolder string

func (f instanceFolder) id() string         { return filepath.Base(string(f)) }
func (f instanceFolder) lockFile() string   { return filepath.Join(string(f), "lock") }
func (f instanceFolder) recordFile() string { return filepath.Join(string(f), "instance.json") }
func (f instanceFolder) stateFile() string  { return filepath.Join(string(f), "state.json") }
func (f instanceFolder) endedFile() string  { return filepath.Join(string(f), "ended.json") }
func (f instanceFolder) bootFile() string   { return filepath.Join(string(f), "boot.json") }
func (f instanceFolder) console() string    { return filepath.Join(string(f), "console.log") }
func (f instanceFolder) home() string       { return filepath.Join(string(f), "home") }
func (f instanceFolder) tmp() string        { return filepath.Join(string(f), "tmp") }
func (f instanceFolder) bin() string        { return filepath.Join(string(f), "bin") }
func (f instanceFolder) agent() string      { return filepath.Join(f.bin(), "spotrelay-agent") }

// loseDisk removes what an instance loses with its end.
func (f instanceFolder) loseDisk() error {
	return errors.Join(removeTree(f.home()), removeTree(f.tmp()), removeTree(f.bin()), removeTree(f.bootFile()))
}

// removeTree removes a folder, also one in which somebody has taken his own
// permissions away.
func removeTree(path string) error {
	if err := os.RemoveAll(path); err == nil {
		return nil
	}
	_ = filepath.WalkDir(path, func(p string, entry fs.DirEntry, err error) error {
		if entry != nil && entry.IsDir() {
			_ = os.Chmod(p, 0o700)
		}
		return nil
	})
	return os.RemoveAll(path)
}

// readJSON reads a document; fs.ErrNotExist where there is none.
func readJSON(path string, into any) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(data, into); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

// writeJSON writes a document whole or not at all. Only its owner may read it.
func writeJSON(path string, v any) error {
	data, err := json.MarshalIndent(v, "", "\t")
	if err != nil {
		return err
	}
	return writeFile(path, bytes.NewReader(append(data, '\n')), 0o600)
}

func writeFile(path string, content *bytes.Reader, mode fs.FileMode) error {
	file, err := os.CreateTemp(filepath.Dir(path), ".tmp-*")
	if err != nil {
		return err
	}
	_, err = content.WriteTo(file)
	err = errors.Join(err, file.Chmod(mode), file.Close())
	if err == nil {
		err = os.Rename(file.Name(), path)
	}
	if err != nil {
		os.Remove(file.Name())
	}
	return err
}

// lockedFile is a file with the exclusive lock on it. The lock belongs to the
// open file, so a child that inherits it shares it, and it is given up when
// the last of them has closed it or died.
type lockedFile struct{ *os.File }

// tryLock takes the lock if nobody has it; otherwise it returns nil.
func tryLock(path string) (*lockedFile, error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	for {
		err = unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if !errors.Is(err, unix.EINTR) {
			break
		}
	}
	if err != nil {
		file.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, nil
		}
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	return &lockedFile{file}, nil
}

// waitLock takes the lock, waiting for it until the context ends.
func waitLock(ctx context.Context, path string) (*lockedFile, error) {
	var held *lockedFile
	err := poll(ctx, func() (bool, error) {
		var err error
		held, err = tryLock(path)
		return held != nil, err
	})
	return held, err
}

// poll asks again and again, at first every millisecond, until the answer is
// yes, an error or the context's end.
func poll(ctx context.Context, done func() (bool, error)) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	pause := time.Millisecond
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-timer.C:
		}
		if ok, err := done(); ok || err != nil {
			return err
		}
		timer.Reset(pause)
		pause = min(pause*3/2, 20*time.Millisecond)
	}
}

// record is instance.json.
type record struct {
	Instance  providers.Instance  `json:"instance"` // as launched: pending
	Token     string              `json:"token"`
	Bootstrap providers.Bootstrap `json:"bootstrap"`
	MaxLife   time.Duration       `json:"max_life,omitempty"`
	BootDelay time.Duration       `json:"boot_delay,omitempty"`
	Network   string              `json:"network"`
	Isolation string              `json:"isolation"`
	Bandwidth int64               `json:"bandwidth,omitempty"`
	// NoticeLead is how long ahead its notice comes, 0 for none.
	NoticeLead time.Duration `json:"notice_lead,omitempty"`
	Share      []string      `json:"share,omitempty"`
	// Environment that is handed on from the launcher, "NAME=value".
	Environment []string `json:"environment,omitempty"`
	Script      []step   `json:"script,omitempty"`
}

// state is state.json.
type state struct {
	Supervisor identity                `json:"supervisor"`
	Control    string                  `json:"control"` // base address
	Secret     string                  `json:"secret"`  // bearer token of the control endpoint
	Metadata   string                  `json:"metadata,omitempty"`
	Phase      providers.InstanceState `json:"phase"`
	Isolation  string                  `json:"isolation,omitempty"`
	Cgroups    []string                `json:"cgroups,omitempty"`
	// Interruption that is announced and not withdrawn.
	Interruption *interruption `json:"interruption,omitempty"`
}

// identity names a process for ever, its pid being used again.
type identity struct {
	PID   int    `json:"pid"`
	Start string `json:"start"` // by the system's own count
	Boot  string `json:"boot"`  // of the machine
}

// alive reports whether the process is still there.
func (i identity) alive() bool {
	return i.PID > 0 && i.Boot == bootID() && i.Start != "" && i.Start == processStart(i.PID)
}
