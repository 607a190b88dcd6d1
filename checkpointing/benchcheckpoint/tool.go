package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/spotrelay/spotrelay/checkpointing/bucket/servertest"
)

// site is where a tool finds the server, and a folder for what it keeps.
type site struct {
	Endpoint string // https://127.0.0.1:PORT
	CAFile   string
	Home     string // of the tool's configuration and cache
	Repo     string // the prefix that the tool keeps its objects below
}

// usage is what one step took.
type usage struct {
	Seconds float64 `json:"seconds"`
	CPU     float64 `json:"cpu_seconds"`
	Peak    int64   `json:"peak_bytes"`
}

// tool saves a directory and restores it.
type tool interface {
	Name() string
	// Open prepares a place for checkpoints.
	Open(ctx context.Context, at site) (repo, error)
}

// repo is one place for checkpoints.
type repo interface {
	// Save takes one save; the next one may build on it.
	Save(ctx context.Context, dir string) (usage, error)
	// Restore fills an empty folder with what dir was at the last save.
	Restore(ctx context.Context, dir, to string) (usage, error)
	Close() error
}

// environment is what a tool's process is given: nothing of this machine's own
// configuration.
func (s site) environment(more ...string) []string {
	return append([]string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + s.Home, "TMPDIR=" + s.Home, "XDG_CACHE_HOME=" + filepath.Join(s.Home, "cache"),
		"LANG=C.UTF-8", "SSL_CERT_FILE=" + s.CAFile,
		"AWS_ACCESS_KEY_ID=" + servertest.AccessKey, "AWS_SECRET_ACCESS_KEY=" + servertest.SecretKey, "AWS_REGION=us-east-1",
		"AWS_DEFAULT_REGION=us-east-1", "AWS_REQUEST_CHECKSUM_CALCULATION=when_required", "AWS_RESPONSE_CHECKSUM_VALIDATION=when_required",
		"AWS_CA_BUNDLE=" + s.CAFile, "AWS_EC2_METADATA_DISABLED=true",
		"AWS_CONFIG_FILE=" + filepath.Join(s.Home, "aws-config"), "AWS_SHARED_CREDENTIALS_FILE=" + filepath.Join(s.Home, "none"),
	}, more...)
}

// run runs a command to its end and measures it.
func run(c *exec.Cmd) (usage, error) {
	var said bytes.Buffer
	c.Stdout, c.Stderr = &said, &said
	started := time.Now()
	err := c.Run()
	u := usage{Seconds: time.Since(started).Seconds()}
	if c.ProcessState != nil {
		u.CPU = (c.ProcessState.UserTime() + c.ProcessState.SystemTime()).Seconds()
		u.Peak = peak(c.ProcessState)
	}
	if err != nil {
		return u, fmt.Errorf("%s: %w: %s", filepath.Base(c.Path), err, lastBytes(said.Bytes()))
	}
	return u, nil
}

// child is this program as a process of its own.
func child(ctx context.Context, at site, role string) (*exec.Cmd, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	c := exec.CommandContext(ctx, self)
	c.Env = at.environment(childVariable + "=" + role)
	return c, nil
}

// runChild runs this program in a role to its end.
func runChild(ctx context.Context, at site, role string, args ...string) (usage, error) {
	c, err := child(ctx, at, role)
	if err != nil {
		return usage{}, err
	}
	c.Args = append(c.Args, args...)
	return run(c)
}

// lastBytes is the end of what a program said.
func lastBytes(said []byte) []byte {
	said = bytes.TrimSpace(said)
	return said[max(0, len(said)-1000):]
}
