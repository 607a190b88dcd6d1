//go:build linux

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/spotrelay/spotrelay/providers"
)

// Files in an instance's folder.
const (
	fileRecord  = "record.json" // what the cloud knows of it
	fileBoot    = "boot.json"   // what its keeper must know
	fileEnded   = "ended.json"  // how it ended
	fileAlive   = "alive"       // locked while its keeper lives
	fileControl = "control"     // the keeper's socket
	fileConsole = "console.log"
)

// ending is how an instance ended.
type ending struct {
	Cause   providers.EndCause `json:"cause"`
	Message string             `json:"message"`
	At      time.Time          `json:"at"`
}

// keeper is the process that stays with one machine: its hypervisor's hand, its
// metadata service and the door for the plugin.
type keeper struct {
	dir  string
	boot boot
	ends chan ending // the first one counts

	mu       sync.Mutex
	noticed  bool
	deadline time.Time
}

// keep keeps the machine of an instance's folder until it ends.
func keep(dir string) error {
	runtime.LockOSThread() // the machine dies with the thread that started it
	alive, err := os.OpenFile(filepath.Join(dir, fileAlive), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return err
	}
	defer alive.Close()
	if err := unix.Flock(int(alive.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return fmt.Errorf("the instance has a keeper: %w", err)
	}
	k := &keeper{dir: dir, ends: make(chan ending, 8)}
	if err := readJSON(filepath.Join(dir, fileBoot), &k.boot); err != nil {
		return err
	}
	end := k.run()
	end.At = time.Now().UTC()
	return errors.Join(writeJSON(filepath.Join(dir, fileEnded), end), os.Remove(filepath.Join(dir, "initramfs")))
}

func (k *keeper) run() ending {
	failed := func(err error) ending { return ending{Cause: providers.EndConfiguration, Message: err.Error()} }
	metadata, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return failed(err)
	}
	go func() { _ = http.Serve(metadata, k.metadata()) }()
	initramfs := filepath.Join(k.dir, "initramfs")
	if err := writeInitramfs(initramfs, k.boot); err != nil {
		return failed(err)
	}
	command, err := emulator(k.boot, initramfs, metadata.Addr().(*net.TCPAddr).Port)
	if err != nil {
		return failed(err)
	}
	console, err := os.Create(filepath.Join(k.dir, fileConsole))
	if err != nil {
		return failed(err)
	}
	defer console.Close()
	command.Stdout, command.Stderr = console, console
	if err := command.Start(); err != nil {
		return failed(err)
	}
	stopped := make(chan struct{})
	go func() {
		_ = command.Wait()
		k.ends <- ending{Cause: providers.EndFromInside, Message: "the machine powered off"}
		close(stopped)
	}()
	if k.boot.MaxLife > 0 {
		time.AfterFunc(time.Duration(k.boot.MaxLife), func() { k.ends <- ending{Cause: providers.EndMaxLife, Message: "its time was over"} })
	}
	control, err := net.Listen("unix", filepath.Join(k.dir, fileControl))
	if err != nil {
		_ = command.Process.Kill()
		return failed(err)
	}
	go func() { _ = http.Serve(control, k.control()) }()
	end := <-k.ends
	_ = command.Process.Kill()
	<-stopped
	if noticed, _ := k.notice(); noticed && end.Cause == providers.EndFromInside {
		end = ending{Cause: providers.EndReclaimed, Message: "it powered off within its notice"}
	}
	return end
}

func (k *keeper) notice() (bool, time.Time) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.noticed, k.deadline
}

// metadata is what the machine sees at 169.254.169.254.
func (k *keeper) metadata() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /user-data", func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(k.boot.UserData) // the machine is gone
	})
	mux.HandleFunc("GET /spot/notice", func(w http.ResponseWriter, r *http.Request) {
		noticed, deadline := k.notice()
		if !noticed {
			http.NotFound(w, r)
			return
		}
		_ = json.NewEncoder(w).Encode(map[string]string{"action": "terminate", "time": deadline.UTC().Format(time.RFC3339)})
	})
	return mux
}

// control is what the plugin asks for.
func (k *keeper) control() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /terminate", func(http.ResponseWriter, *http.Request) {
		k.ends <- ending{Cause: providers.EndByUs, Message: "ended by a terminate call"}
	})
	mux.HandleFunc("POST /preempt", func(w http.ResponseWriter, r *http.Request) {
		after, err := time.ParseDuration(r.URL.Query().Get("notice"))
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		k.mu.Lock()
		k.noticed, k.deadline = after > 0, time.Now().Add(after)
		k.mu.Unlock()
		time.AfterFunc(after, func() { k.ends <- ending{Cause: providers.EndReclaimed, Message: "spot capacity was taken back"} })
	})
	mux.HandleFunc("GET /notice", func(w http.ResponseWriter, _ *http.Request) {
		noticed, _ := k.notice()
		_ = json.NewEncoder(w).Encode(noticed)
	})
	return mux
}

func readJSON(path string, to any) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	return json.Unmarshal(data, to)
}

// writeJSON replaces a file whole.
func writeJSON(path string, from any) error {
	data, err := json.Marshal(from)
	if err != nil {
		return err
	}
	if err := os.WriteFile(path+".new", data, 0o600); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}
