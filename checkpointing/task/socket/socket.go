// Package socket is how a task and the agent of its instance reach each other:
// a socket in a folder whose path may be longer than the system allows, and on
// it one line of JSON as the request and one as its answer.
package socket

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
)

// MaxPath is the longest path that every system takes for a socket, in bytes:
// macOS has room for 104 with the final zero, Linux for 108.
const MaxPath = 103

// Dial connects to the socket at path, which may be longer than MaxPath.
func Dial(ctx context.Context, path string) (net.Conn, error) {
	short, done, err := shorten(path)
	if err != nil {
		return nil, err
	}
	defer done()
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unix", short)
	if err != nil {
		return nil, fmt.Errorf("no agent answers at %s: %w", path, err)
	}
	return conn, nil
}

// Ask sends request to the agent at the socket and reads one answer.
func Ask(ctx context.Context, path string, request, answer any) error {
	conn, err := Dial(ctx, path)
	if err != nil {
		return err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	if err := json.NewEncoder(conn).Encode(request); err != nil {
		return fmt.Errorf("asking the agent: %w", err)
	}
	if err := json.NewDecoder(conn).Decode(answer); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			err = errors.New("it ended before it answered")
		}
		return fmt.Errorf("the agent gave no answer: %w", err)
	}
	return nil
}

// Listen makes a socket at path, which may be longer than MaxPath, in place of
// one that an earlier life left there. Only its owner can connect. Closing the
// listener removes the socket.
func Listen(path string) (net.Listener, error) {
	short, done, err := shorten(path)
	if err != nil {
		return nil, err
	}
	defer done()
	if err := os.Remove(path); err != nil && !os.IsNotExist(err) {
		return nil, err
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: short, Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("listening at %s: %w", path, err)
	}
	l.SetUnlinkOnClose(false) // its name may be the short one, which is gone by then
	if err := os.Chmod(path, 0o600); err != nil {
		l.Close()
		return nil, err
	}
	return &listener{UnixListener: l, path: path}, nil
}

type listener struct {
	*net.UnixListener
	path string
}

func (l *listener) Close() error {
	err := l.UnixListener.Close()
	os.Remove(l.path)
	return err
}

// Shorten gives a path at which the folder dir can be reached and whose
// sockets, with names of up to room bytes, fit into MaxPath: dir itself, or a
// link to it that done removes.
func Shorten(dir string, room int) (short string, done func(), err error) {
	dir, err = filepath.Abs(dir)
	if err != nil {
		return "", nil, err
	}
	if len(dir)+1+room <= MaxPath {
		return dir, func() {}, nil
	}
	parent, err := os.MkdirTemp("", "sr")
	if err != nil {
		return "", nil, err
	}
	done = func() { os.RemoveAll(parent) } // removes the link, not what it points at
	short = filepath.Join(parent, "h")
	if len(short)+1+room > MaxPath {
		done()
		return "", nil, fmt.Errorf("the folder for temporary files, %s, has too long a path for a socket: set TMPDIR to a shorter one", os.TempDir())
	}
	if err := os.Symlink(dir, short); err != nil {
		done()
		return "", nil, err
	}
	return short, done, nil
}

func shorten(path string) (short string, done func(), err error) {
	name := filepath.Base(path)
	dir, done, err := Shorten(filepath.Dir(path), len(name))
	if err != nil {
		return "", nil, err
	}
	return filepath.Join(dir, name), done, nil
}
