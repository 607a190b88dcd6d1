package servertest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os/exec"
	"runtime"
	"sync"
	"testing"
	"time"
)

const (
	// ready is how long a server may take to answer, on a busy machine too.
	ready = time.Minute
	// ports is how many ports are tried, since another process may take one
	// between its choice and the server's start.
	ports = 3
)

// launch is how a server is started on a port of loopback, and how it is known
// to answer.
type launch struct {
	command func(port string) *exec.Cmd
	probe   func(ctx context.Context, hostport string) error
}

// start runs a server until the test ends, and returns its host and port once
// it answers.
func start(t testing.TB, l launch) string {
	t.Helper()
	p, port := startProcess(t, l)
	t.Cleanup(p.stop)
	return hostport(port)
}

// startProcess starts a server on a port that is free.
func startProcess(t testing.TB, l launch) (*process, string) {
	t.Helper()
	var err error
	for range ports {
		port := freePort(t)
		p := &process{command: l.command(port), done: make(chan struct{})}
		if err = p.start(); err == nil {
			if err = p.wait(t.Context(), hostport(port), l.probe); err == nil {
				return p, port
			}
		}
		p.stop()
		t.Logf("%s did not start: %v\n%s", p.command.Path, err, p.output.String())
	}
	t.Fatalf("no server after %d tries: %v", ports, err)
	return nil, ""
}

func hostport(port string) string { return net.JoinHostPort("127.0.0.1", port) }

func freePort(t testing.TB) string {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, err := net.SplitHostPort(listener.Addr().String())
	if err := errors.Join(err, listener.Close()); err != nil {
		t.Fatal(err)
	}
	return port
}

// process is a server that runs.
type process struct {
	command *exec.Cmd
	output  lockedBuffer
	done    chan struct{} // closed when it has ended
	started bool
}

// start starts the server from a thread that lives as long as it does, since
// where the system can it ends a child with the thread that started it: a test
// that is killed leaves no server behind.
func (p *process) start() error {
	p.command.Stdout, p.command.Stderr = &p.output, &p.output
	endWithParent(p.command)
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		defer close(p.done)
		err := p.command.Start()
		started <- err
		if err == nil {
			_ = p.command.Wait() // it is killed in the end
		}
	}()
	err := <-started
	p.started = err == nil
	return err
}

// wait returns when the server answers, or with the reason why it does not.
func (p *process) wait(ctx context.Context, hostport string, probe func(ctx context.Context, hostport string) error) error {
	ctx, cancel := context.WithTimeout(ctx, ready)
	defer cancel()
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for {
		err := probe(ctx, hostport)
		if err == nil {
			return nil
		}
		select {
		case <-p.done:
			return errors.New("it ended")
		case <-ctx.Done():
			return err
		case <-ticker.C:
		}
	}
}

func (p *process) stop() {
	if p.started {
		_ = p.command.Process.Kill() // an error means that it has ended
	}
	<-p.done
}

// lockedBuffer collects what a server says; a test reads it when it failed.
type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// request sends a request with client and wants an answer below 500.
func request(ctx context.Context, client *http.Client, method, address, body string) error {
	sent, err := http.NewRequestWithContext(ctx, method, address, bytes.NewReader([]byte(body)))
	if err != nil {
		return err
	}
	answer, err := client.Do(sent)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode >= http.StatusInternalServerError {
		return fmt.Errorf("%s %s answered %s", method, address, answer.Status)
	}
	return nil
}
