package control

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
			answer, err := Call(t.Context(), path, Request{Op: OpSave, Background: true})
			if err != nil || !answer.OK || answer.Error != "save true" {
				t.Errorf("answer %+v, %v", answer, err)
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
	var request Request
	if err := json.NewDecoder(conn).Decode(&request); err != nil {
		t.Error(err)
	}
	text := string(request.Op)
	if request.Background {
		text += " true"
	}
	if err := json.NewEncoder(conn).Encode(Answer{OK: true, Error: text}); err != nil {
		t.Error(err)
	}
}

func TestCallFails(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	if _, err := Call(t.Context(), path, Request{Op: OpStatus}); err == nil || !strings.Contains(err.Error(), path) {
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
	if _, err := Call(t.Context(), path, Request{Op: OpStatus}); err == nil {
		t.Error("an agent that hung up gave an answer")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := Call(ctx, path, Request{Op: OpStatus}); err == nil || ctx.Err() == nil {
		t.Errorf("an agent that is silent: %v", err)
	}
}
