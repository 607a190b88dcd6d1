package socket

import (
	"context"
	"encoding/json"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestLongPaths(t *testing.T) {
	for _, dir := range []string{t.TempDir(), filepath.Join(t.TempDir(), strings.Repeat("x", 150))} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, "agent.sock")
		for range 2 { // the second in place of what the first left
			l, err := Listen(path)
			if err != nil {
				t.Fatal(err)
			}
			if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
				t.Errorf("socket: %v, %v", info, err)
			}
			go serveOnce(t, l)
			var answer string
			err = Ask(t.Context(), path, []string{"save", "now"}, &answer)
			if err != nil || answer != "save now" {
				t.Errorf("answer %q, %v", answer, err)
			}
			l.Close()
			if _, err := os.Stat(path); !os.IsNotExist(err) {
				t.Errorf("the socket stays: %v", err)
			}
		}
		left, err := filepath.Glob(filepath.Join(os.TempDir(), "sr[0-9]*"))
		if err != nil {
			t.Fatal(err)
		}
		for _, link := range left {
			if target, err := os.Readlink(filepath.Join(link, "h")); err == nil && target == dir {
				t.Errorf("the link %s stays", link)
			}
		}
	}
}

func serveOnce(t *testing.T, l net.Listener) {
	conn, err := l.Accept()
	if err != nil {
		t.Error(err)
		return
	}
	defer conn.Close()
	var request []string
	if err := json.NewDecoder(conn).Decode(&request); err != nil {
		t.Error(err)
	}
	if err := json.NewEncoder(conn).Encode(strings.Join(request, " ")); err != nil {
		t.Error(err)
	}
}

func TestAskFails(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	if err := Ask(t.Context(), path, "status", new(string)); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("no agent: %v", err)
	}
	l, err := Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		conn, err := l.Accept()
		if err == nil {
			conn.Close() // as an agent that dies
		}
	}()
	if err := Ask(t.Context(), path, "status", new(string)); err == nil {
		t.Error("an agent that hung up gave an answer")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := Ask(ctx, path, "status", new(string)); err == nil || ctx.Err() == nil {
		t.Errorf("an agent that is silent: %v", err)
	}
}
