package plugins

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
)

// LockFileName is the lock file's name beside a job file. In the user's
// configuration folder it is spotrelay/plugins.lock.json.
const LockFileName = ".spotrelay.plugins.lock.json"

const lockVersion = 1

// lockFile pins plugins by the SHA-256 of their executables, one for each
// platform that the file is used on. It is JSON:
//
//	{"version": 1, "plugins": {"azure": {"linux-amd64": "9f86d0..."}}}
type lockFile struct {
	Version int                          `json:"version"`
	Plugins map[string]map[string]string `json:"plugins"`
}

// platform is this machine's key in a lock file.
func platform() string { return runtime.GOOS + "-" + runtime.GOARCH }

// DefaultLockFile is the lock file to use: the one beside the job file, if it
// is there (kept in version control, it pins plugins for everybody), otherwise
// the user's own. jobFile may be "" or a folder.
func DefaultLockFile(jobFile string) (string, error) {
	if jobFile != "" {
		dir := jobFile
		if info, err := os.Stat(jobFile); err == nil && !info.IsDir() {
			dir = filepath.Dir(jobFile)
		}
		beside := filepath.Join(dir, LockFileName)
		if _, err := os.Stat(beside); err == nil {
			return beside, nil
		}
	}
	config, err := os.UserConfigDir()
	if err != nil {
		return "", fmt.Errorf("find the plugin lock file: %w", err)
	}
	return filepath.Join(config, "spotrelay", "plugins.lock.json"), nil
}

// readLockFile reads a lock file; one that does not exist is empty.
func readLockFile(file string) (lockFile, error) {
	lock := lockFile{Version: lockVersion, Plugins: map[string]map[string]string{}}
	data, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return lock, nil
	}
	if err != nil {
		return lock, err
	}
	return parseLockFile(file, data)
}

func parseLockFile(file string, data []byte) (lockFile, error) {
	var lock lockFile
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&lock); err != nil {
		return lock, fmt.Errorf("%s: not a plugin lock file: %w", file, err)
	}
	if lock.Version != lockVersion {
		return lock, fmt.Errorf("%s: version %d of the lock file's format; this spotrelay knows version %d", file, lock.Version, lockVersion)
	}
	for name, sums := range lock.Plugins {
		for platform, sum := range sums {
			if raw, err := hex.DecodeString(sum); err != nil || len(raw) != sha256.Size {
				return lock, fmt.Errorf("%s: plugin %q, %s: %q is no SHA-256 in hex", file, name, platform, sum)
			}
		}
	}
	if lock.Plugins == nil {
		lock.Plugins = map[string]map[string]string{}
	}
	return lock, nil
}

// write replaces the file whole.
func (l lockFile) write(file string) error {
	data, err := json.MarshalIndent(l, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	temporary, err := os.CreateTemp(filepath.Dir(file), ".plugins-lock-*")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(temporary.Name()) }() // fails once it is renamed
	_, err = temporary.Write(append(data, '\n'))
	err = errors.Join(err, temporary.Chmod(0o644), temporary.Close())
	if err != nil {
		return err
	}
	return os.Rename(temporary.Name(), file)
}

func (l lockFile) sum(name string) string { return l.Plugins[name][platform()] }

func (l lockFile) set(name, sum string) {
	if l.Plugins[name] == nil {
		l.Plugins[name] = map[string]string{}
	}
	l.Plugins[name][platform()] = sum
}

// fileSum is a file's SHA-256 in hex.
func fileSum(file string) (string, error) {
	open, err := os.Open(file)
	if err != nil {
		return "", err
	}
	defer func() { _ = open.Close() }()
	hash := sha256.New()
	if _, err := io.Copy(hash, open); err != nil {
		return "", err
	}
	return hex.EncodeToString(hash.Sum(nil)), nil
}
