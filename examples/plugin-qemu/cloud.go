//go:build linux

package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/spotrelay/spotrelay/providers"
)

// record is what the cloud knows of an instance.
type record struct {
	providers.Instance

	Token   string            `json:"token"`
	Request [sha256.Size]byte `json:"request"`

	dir string
	end ending // with no cause while it lives
}

func (r record) ours() bool { return r.Tags[providers.TagBucket] != "" }

// lock takes the cloud's lock: controllers may share it.
func lock(ctx context.Context, op string, c config) (unlock func(), err error) {
	if err := ctx.Err(); err != nil {
		return nil, failed(providers.CodeUnavailable, op, "%v", err)
	}
	file, err := os.OpenFile(filepath.Join(c.Folder, "lock"), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, failed(providers.CodeConfiguration, op, "%v", err)
	}
	if err := unix.Flock(int(file.Fd()), unix.LOCK_EX); err != nil {
		return nil, failed(providers.CodeUnavailable, op, "the lock: %v", errors.Join(err, file.Close()))
	}
	return func() { _ = file.Close() }, nil
}

// records are all instances as they are; the lock is held.
func records(op string, c config) ([]record, error) {
	dirs, err := filepath.Glob(filepath.Join(c.Folder, "instances", "*"))
	if err != nil {
		return nil, failed(providers.CodeConfiguration, op, "%v", err)
	}
	var all []record
	for _, dir := range dirs {
		r := record{dir: dir}
		if err := readJSON(filepath.Join(dir, fileRecord), &r); err != nil {
			return nil, failed(providers.CodeUnavailable, op, "%s: %v", dir, err)
		}
		r.State = providers.StateRunning
		if err := r.settle(); err != nil {
			return nil, failed(providers.CodeUnavailable, op, "%s: %v", dir, err)
		}
		all = append(all, r)
	}
	return all, nil
}

// settle finds out whether the instance has ended.
func (r *record) settle() error {
	if !kept(r.dir) { // its keeper is gone, and has said why, or died
		err := readJSON(filepath.Join(r.dir, fileEnded), &r.end)
		if errors.Is(err, os.ErrNotExist) {
			r.end = ending{Cause: providers.EndHostEvent, Message: "the process that kept the machine died", At: time.Now().UTC()}
			err = writeJSON(filepath.Join(r.dir, fileEnded), r.end)
		}
		r.State = providers.StateTerminated
		return err
	}
	return nil
}

// kept reports whether a keeper lives.
func kept(dir string) bool {
	file, err := os.Open(filepath.Join(dir, fileAlive))
	if err != nil {
		return false
	}
	defer file.Close()
	return unix.Flock(int(file.Fd()), unix.LOCK_SH|unix.LOCK_NB) != nil
}

// start makes an instance and starts its keeper. Its folder appears whole.
func (r *record) start(ctx context.Context, c config, b boot) error {
	r.dir = filepath.Join(c.Folder, "instances", r.ID)
	making := filepath.Join(c.Folder, "new-"+r.ID)
	err := errors.Join(os.RemoveAll(making), os.MkdirAll(making, 0o755), os.MkdirAll(filepath.Dir(r.dir), 0o755))
	if err == nil {
		err = errors.Join(writeJSON(filepath.Join(making, fileRecord), r), writeJSON(filepath.Join(making, fileBoot), b))
	}
	if err == nil {
		err = os.Rename(making, r.dir)
	}
	if err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	log, err := os.Create(filepath.Join(r.dir, "keeper.log"))
	if err != nil {
		return err
	}
	defer log.Close()
	command := exec.Command(self, "keep", r.dir)
	command.Stdout, command.Stderr, command.Dir = log, log, r.dir
	command.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // it outlives the plugin
	if err := command.Start(); err != nil {
		return err
	}
	gone := make(chan error, 1)
	go func() { gone <- command.Wait() }()
	return r.await(ctx, gone)
}

// await waits until the keeper listens.
func (r *record) await(ctx context.Context, gone <-chan error) error {
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for {
		if _, err := os.Stat(filepath.Join(r.dir, fileControl)); err == nil {
			return nil
		}
		select {
		case err := <-gone:
			if settled := r.settle(); settled == nil && r.end.Message != "" {
				return errors.New(r.end.Message)
			}
			return fmt.Errorf("the machine's keeper ended: %w; see %s/keeper.log", err, r.dir)
		case <-ticker.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// tell asks the instance's keeper for something.
func (r *record) tell(ctx context.Context, method, what string) (*http.Response, error) {
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", filepath.Join(r.dir, fileControl))
	}}}
	request, err := http.NewRequestWithContext(ctx, method, "http://keeper/"+what, nil)
	if err != nil {
		return nil, err
	}
	return client.Do(request)
}

// terminate ends the instance and waits until it has.
func (r *record) terminate(ctx context.Context) error {
	response, err := r.tell(ctx, http.MethodPost, "terminate")
	if err == nil {
		_ = response.Body.Close()
	}
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for kept(r.dir) {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return errors.Join(err, ctx.Err())
		}
	}
	return nil
}
