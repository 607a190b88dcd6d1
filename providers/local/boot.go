//go:build linux || darwin

package local

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spotrelay/spotrelay/checkpointing/bucket"
	"github.com/spotrelay/spotrelay/providers"
)

// Variables that the provider adds to an agent's environment.
const (
	variableInstance    = "SPOTRELAY_INSTANCE"
	variableMetadata    = "SPOTRELAY_METADATA"
	variableHome        = "SPOTRELAY_HOME"
	variableUploadLimit = "SPOTRELAY_UPLOAD_LIMIT"
	variableNoticeLead  = "SPOTRELAY_NOTICE_LEAD"
	variableAddress     = "SPOTRELAY_ADDRESS"
)

// handedOn are the variables of the launcher's environment that an agent gets:
// what makes programs and the Go tool find their things. The rest, with the
// secrets of somebody's shell, stays out.
var handedOn = []string{
	"PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LC_ALL", "TZ", "XDG_CACHE_HOME",
	"GOCACHE", "GOPATH", "GOMODCACHE", "GOROOT", "GOFLAGS", "GOPROXY", "GOSUMDB", "GONOSUMDB", "GONOPROXY", "GOPRIVATE", "GOTOOLCHAIN", "GOENV",
}

// markOf is the entry in the environment that tells an instance's processes.
func markOf(id string) string { return variableInstance + "=" + id }

// environmentOf the launcher, as far as it is handed on.
func environmentOf(environ, more []string) []string {
	var handed []string
	for _, entry := range environ {
		name, _, _ := strings.Cut(entry, "=")
		if slices.Contains(handedOn, name) || slices.Contains(more, name) {
			handed = append(handed, entry)
		}
	}
	return handed
}

// agentEnvironment puts the agent's environment together; what comes later
// wins.
func agentEnvironment(folder instanceFolder, rec record, metadata string) []string {
	merged := map[string]string{"PATH": "/usr/local/bin:/usr/bin:/bin"}
	for _, entry := range rec.Environment {
		name, text, _ := strings.Cut(entry, "=")
		merged[name] = text
	}
	for name, text := range rec.Bootstrap.Environment {
		merged[name] = text
	}
	merged["PATH"] = folder.bin() + ":" + merged["PATH"]
	merged[variableInstance] = rec.Instance.ID
	merged[variableHome] = folder.home()
	merged[variableMetadata] = metadata
	// Instances share this machine's loopback, or have one each.
	merged[variableAddress] = "127.0.0.1"
	if rec.Network == networkIsolated {
		merged[variableAddress] = "none"
	}
	if rec.Bandwidth > 0 {
		merged[variableUploadLimit] = strconv.FormatInt(rec.Bandwidth, 10)
	}
	if rec.NoticeLead > 0 {
		merged[variableNoticeLead] = rec.NoticeLead.String()
	}
	environment := make([]string, 0, len(merged))
	for name, text := range merged {
		environment = append(environment, name+"="+text)
	}
	slices.Sort(environment)
	return environment
}

// sharedTmp is what instances must not share.
const sharedTmp = "/tmp"

// visiblePaths are the paths that an instance needs besides its own: its
// folder, the bucket, what is shared, and what its environment points at.
func visiblePaths(folder instanceFolder, rec record) []string {
	paths := append([]string{string(folder)}, rec.Share...)
	if path := bucketPath(rec.Bootstrap.Bucket); path != "" {
		paths = append(paths, path)
	}
	for _, entry := range rec.Environment {
		_, text, _ := strings.Cut(entry, "=")
		for _, path := range filepath.SplitList(text) {
			if filepath.IsAbs(path) && filepath.Clean(path) != sharedTmp {
				paths = append(paths, path)
			}
		}
	}
	return paths
}

// bucketPath is the folder that a bucket's address names, "" for a store.
func bucketPath(address string) string {
	if !strings.Contains(address, "://") {
		return address
	}
	if u, err := url.Parse(address); err == nil && u.Scheme == "file" {
		return u.Path
	}
	return ""
}

// platform is the key of Bootstrap.Agents for this machine.
func platform() string { return runtime.GOOS + "-" + runtime.GOARCH }

// fetchAgent puts the agent program into the instance's folder: from the cache
// or the bucket, its checksum verified either way.
func fetchAgent(ctx context.Context, cache string, folder instanceFolder, boot providers.Bootstrap) error {
	program, ok := boot.Agents[platform()]
	if !ok {
		return fmt.Errorf("the launch names no agent for %s", platform())
	}
	if digest, err := hex.DecodeString(program.SHA256); err != nil || len(digest) != sha256.Size {
		return fmt.Errorf("%q is no SHA-256", program.SHA256)
	}
	if err := os.MkdirAll(cache, 0o700); err != nil {
		return err
	}
	cached := filepath.Join(cache, strings.ToLower(program.SHA256))
	err := install(cached, folder, program.SHA256)
	if err == nil {
		now := time.Now()
		_ = os.Chtimes(cached, now, now) // used, for the sweep
		return nil
	}
	if !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, errChecksum) {
		return err
	}
	if err := download(ctx, cached, boot.Bucket, program); err != nil {
		return err
	}
	return install(cached, folder, program.SHA256)
}

var errChecksum = errors.New("the checksum differs")

// install links the cached program into the folder, or copies it where links
// are refused, and verifies what is there then.
func install(cached string, folder instanceFolder, digest string) error {
	at := folder.agent()
	if err := os.Remove(at); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.Link(cached, at); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return err
		}
		source, err := os.Open(cached)
		if err != nil {
			return err
		}
		defer source.Close()
		if err := writeProgram(at, source); err != nil {
			return err
		}
	}
	file, err := os.Open(at)
	if err != nil {
		return err
	}
	defer file.Close()
	hash := sha256.New()
	if _, err := io.Copy(hash, file); err != nil {
		return err
	}
	if have := hex.EncodeToString(hash.Sum(nil)); !strings.EqualFold(have, digest) {
		return fmt.Errorf("%w: the launch says %s, the program has %s", errChecksum, digest, have)
	}
	return nil
}

func download(ctx context.Context, cached, address string, program providers.AgentProgram) error {
	from, err := bucket.Open(ctx, address)
	if err != nil {
		return err
	}
	defer from.Close()
	body, _, err := from.Get(ctx, program.Key, 0, -1)
	if err != nil {
		return err
	}
	defer body.Close()
	return writeProgram(cached, body)
}

func writeProgram(path string, content io.Reader) error {
	file, err := os.CreateTemp(filepath.Dir(path), ".tmp-*")
	if err != nil {
		return err
	}
	_, err = io.Copy(file, content)
	err = errors.Join(err, file.Chmod(0o555), file.Close())
	if err == nil {
		err = os.Rename(file.Name(), path)
	}
	if err != nil {
		os.Remove(file.Name())
	}
	return err
}
