package plugins

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os/exec"
	"slices"

	goplugin "github.com/hashicorp/go-plugin"

	"github.com/spotrelay/spotrelay/providers"
)

// source is where a plugin's process comes from.
type source struct {
	name     string
	file     string
	args     []string
	trusted  bool   // needs no checksum
	offline  bool   // is started with neither network nor credentials
	lockFile string // has the checksum otherwise
}

func (m *Manager) source(name string) (source, error) {
	if slices.Contains(m.options.Builtin, name) {
		return source{
			name: name, file: m.options.SelfExe,
			args: []string{"plugin", "serve", name}, trusted: true,
		}, nil
	}
	file, ok := find(m.options.Path, name)
	if !ok {
		return source{}, m.errUnknown(name)
	}
	return source{name: name, file: file, lockFile: m.options.LockFile}, nil
}

// command is the verified command that starts the plugin. It is verified anew
// for each start. Between the check and the start lies a moment: whoever may
// write the file or its folder is trusted.
func (s source) command() (*exec.Cmd, error) {
	if !s.trusted {
		if err := s.verify(); err != nil {
			return nil, err
		}
	}
	return exec.Command(s.file, s.args...), nil
}

func (s source) verify() error {
	fault := func(message, hint string) error {
		return &providers.Error{Code: providers.CodeConfiguration, Op: "start", Message: message, Hint: hint}
	}
	lock, err := readLockFile(s.lockFile)
	if err != nil {
		return fault(err.Error(), "repair the file, or remove it and run: spotrelay plugin lock")
	}
	locked := lock.sum(s.name)
	if locked == "" {
		return fault(
			fmt.Sprintf("plugin %s (%s) has no checksum for %s in the lock file %s", s.name, s.file, platform(), s.lockFile),
			"if you trust this file, run: spotrelay plugin lock "+s.name)
	}
	want, err := hex.DecodeString(locked)
	if err != nil {
		return fault(fmt.Sprintf("%s: plugin %s: %v", s.lockFile, s.name, err), "run: spotrelay plugin lock "+s.name)
	}
	secure := &goplugin.SecureConfig{Checksum: want, Hash: sha256.New()}
	same, err := secure.Check(s.file)
	if err != nil {
		return fault(fmt.Sprintf("plugin %s: read its executable: %v", s.name, err), "install the plugin again")
	}
	if !same {
		return fault(
			fmt.Sprintf("plugin %s (%s) is not the file that was locked: its SHA-256 is %x, the lock file %s says %s",
				s.name, s.file, secure.Hash.Sum(nil), s.lockFile, locked),
			"if you replaced it yourself, run: spotrelay plugin lock "+s.name+"; otherwise remove it")
	}
	return nil
}
