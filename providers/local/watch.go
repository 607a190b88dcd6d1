//go:build linux || darwin

package local

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"net"
	"os"
	"path/filepath"
	"time"
)

// agentSocket is the agent's own, in its home.
const agentSocket = "agent.sock"

// watchAgent follows the agent's saves from its socket into events, until the
// context ends. It asks again whenever the socket is not there or closes.
func watchAgent(ctx context.Context, home string, events chan<- saveEvent) {
	for ctx.Err() == nil {
		var conn net.Conn
		err := poll(ctx, func() (bool, error) {
			var err error
			conn, err = dialUnix(ctx, home, agentSocket)
			return err == nil, nil
		})
		if err != nil {
			return
		}
		follow(ctx, conn, events)
	}
}

func follow(ctx context.Context, conn net.Conn, events chan<- saveEvent) {
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	_ = conn.SetWriteDeadline(time.Now().Add(time.Second))
	if _, err := conn.Write([]byte(`{"op":"watch"}` + "\n")); err != nil {
		return
	}
	lines := bufio.NewScanner(conn)
	lines.Buffer(make([]byte, 4<<10), 1<<20)
	for lines.Scan() {
		var e saveEvent
		if json.Unmarshal(lines.Bytes(), &e) != nil || e.Event == "" {
			continue
		}
		select {
		case events <- e:
		case <-ctx.Done():
			return
		}
	}
}

// unixPathLimit is what the address of a unix socket holds everywhere.
const unixPathLimit = 100

// dialUnix connects to the socket name in dir, also where the path is longer
// than an address holds: then by way of a short link.
func dialUnix(ctx context.Context, dir, name string) (net.Conn, error) {
	var dialer net.Dialer
	path := filepath.Join(dir, name)
	if len(path) <= unixPathLimit {
		return dialer.DialContext(ctx, "unix", path)
	}
	if _, err := os.Stat(path); err != nil {
		return nil, err
	}
	short, err := os.MkdirTemp("/tmp", "sr-")
	if err != nil {
		return nil, err
	}
	link := filepath.Join(short, "d")
	defer func() { _ = errors.Join(os.Remove(link), os.Remove(short)) }()
	if err := os.Symlink(dir, link); err != nil {
		return nil, err
	}
	return dialer.DialContext(ctx, "unix", filepath.Join(link, name))
}
