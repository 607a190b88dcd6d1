package main

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/spotrelay/spotrelay/providers"
)

const runtimePlatform = runtime.GOOS + "-" + runtime.GOARCH

// lock takes the folder's lock. Several controllers may share it, each with a
// plugin process of its own.
func (p *provider) lock(ctx context.Context, op string, c config) (unlock func(), err error) {
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

// records are all instances, as they are now.
func (p *provider) records(op string, c config) ([]record, error) {
	files, err := filepath.Glob(filepath.Join(c.Folder, "*", "record.json"))
	if err != nil {
		return nil, failed(providers.CodeConfiguration, op, "%v", err)
	}
	var all []record
	for _, file := range files {
		var r record
		data, err := os.ReadFile(file)
		if err == nil {
			err = json.Unmarshal(data, &r)
		}
		if err != nil { // a part of the answer would be a lie
			return nil, failed(providers.CodeUnavailable, op, "%s: %v", file, err)
		}
		if r.Cause == "" && r.PID > 0 && syscall.Kill(r.PID, 0) != nil {
			r.Cause, r.State = providers.EndFromInside, providers.StateTerminated
		}
		all = append(all, r)
	}
	return all, nil
}

// write replaces the record whole.
func (r record) write(c config) error {
	data, err := json.Marshal(r)
	if err != nil {
		return err
	}
	path := filepath.Join(c.Folder, r.ID, "record.json")
	if err := os.WriteFile(path+".new", data, 0o644); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

func (r record) ours() bool { return r.Tags[providers.TagBucket] != "" }

// List gives every instance of ours that bears all the tags.
func (p *provider) List(ctx context.Context, fleet providers.Fleet, tags map[string]string) ([]providers.Instance, error) {
	c, err := parse("list", fleet)
	if err != nil {
		return nil, err
	}
	unlock, err := p.lock(ctx, "list", c)
	if err != nil {
		return nil, err
	}
	defer unlock()
	all, err := p.records("list", c)
	if err != nil {
		return nil, err
	}
	var listed []providers.Instance
	for _, r := range all {
		bears := r.ours()
		for key, value := range tags {
			have, there := r.Tags[key]
			bears = bears && there && have == value
		}
		if bears {
			listed = append(listed, r.Instance)
		}
	}
	return listed, nil
}
