//go:build unix

package agent

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"sync"

	"github.com/spotrelay/spotrelay/checkpointing"
	"github.com/spotrelay/spotrelay/checkpointing/bucket"
	"github.com/spotrelay/spotrelay/checkpointing/task/socket"
	"github.com/spotrelay/spotrelay/runner/agent/control"
)

// handler answers one request.
type handler func(ctx context.Context, conn net.Conn, request control.Request)

// server answers at one socket.
type server struct {
	listener net.Listener
	path     string
	accepts  sync.WaitGroup
	once     sync.Once

	mu     sync.Mutex
	handle handler // nil while it rests
	ctx    context.Context
	cancel context.CancelFunc
	conns  map[net.Conn]bool
	work   sync.WaitGroup // of the connections
}

// listen starts a server at path.
func listen(ctx context.Context, path string, handle handler) (*server, error) {
	l, err := socket.Listen(path)
	if err != nil {
		return nil, err
	}
	s := &server{listener: l, path: path, handle: handle, conns: map[net.Conn]bool{}}
	s.ctx, s.cancel = context.WithCancel(ctx)
	s.accepts.Go(s.accept)
	return s, nil
}

func (s *server) accept() {
	for {
		conn, err := s.listener.Accept()
		if err != nil {
			return
		}
		s.mu.Lock()
		if s.ctx.Err() != nil || s.handle == nil {
			s.mu.Unlock()
			conn.Close()
			continue
		}
		s.conns[conn] = true
		handle, ctx := s.handle, s.ctx
		s.work.Go(func() { s.serve(ctx, conn, handle) })
		s.mu.Unlock()
	}
}

func (s *server) serve(ctx context.Context, conn net.Conn, handle handler) {
	defer func() {
		s.mu.Lock()
		delete(s.conns, conn)
		s.mu.Unlock()
		conn.Close()
	}()
	request, err := readRequest(conn)
	if err != nil {
		refuse(conn, err.Error(), `a request is one line of JSON such as {"op":"save"}`)
		return
	}
	handle(ctx, conn, request)
}

// readRequest reads one line of JSON.
func readRequest(r io.Reader) (control.Request, error) {
	var request control.Request
	line, err := bufio.NewReader(io.LimitReader(r, control.MaxRequest)).ReadBytes('\n')
	if len(line) == 0 && err != nil {
		return request, fmt.Errorf("no request came: %w", err)
	}
	if err := json.Unmarshal(line, &request); err != nil {
		return request, fmt.Errorf("the request cannot be read: %w", err)
	}
	return request, nil
}

func answer(conn net.Conn, a control.Answer) {
	_ = json.NewEncoder(conn).Encode(a) // who asked may be gone
}

func refuse(conn net.Conn, what, hint string) {
	answer(conn, control.Answer{Error: what, Hint: hint})
}

// close ends the server; requests that are waited for are cut off.
func (s *server) close() {
	s.once.Do(func() {
		s.rest()
		s.listener.Close()
		os.Remove(s.path)
		s.accepts.Wait()
	})
}

// rest cuts off the requests that are waited for, and answers no more.
func (s *server) rest() {
	s.mu.Lock()
	s.handle = nil
	s.cancel()
	for conn := range s.conns {
		conn.Close()
	}
	s.mu.Unlock()
	s.work.Wait()
}

// goOn has a server that rests answer at another path.
func (s *server) goOn(ctx context.Context, path string, handle handler) error {
	if err := os.Rename(s.path, path); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.path, s.handle = path, handle
	s.ctx, s.cancel = context.WithCancel(ctx)
	return nil
}

// spareServers keeps the sockets of attempts that have ended for others: to
// make one and to remove it takes longer than to rename it.
type spareServers struct {
	mu      sync.Mutex
	servers []*server
}

// listen is a server at path, a spare one where there is one.
func (s *spareServers) listen(ctx context.Context, path string, handle handler) (*server, error) {
	s.mu.Lock()
	var spare *server
	if last := len(s.servers) - 1; last >= 0 {
		spare, s.servers = s.servers[last], s.servers[:last]
	}
	s.mu.Unlock()
	if spare != nil {
		if spare.goOn(ctx, path, handle) == nil {
			return spare, nil
		}
		spare.close()
	}
	return listen(ctx, path, handle)
}

const mostSpareServers = 256

// keep takes a server back.
func (s *spareServers) keep(spare *server) {
	spare.rest()
	s.mu.Lock()
	full := len(s.servers) >= mostSpareServers
	if !full {
		s.servers = append(s.servers, spare)
	}
	s.mu.Unlock()
	if full {
		spare.close()
	}
}

func (s *spareServers) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, spare := range s.servers {
		spare.close()
	}
	s.servers = nil
}

// serveMachine is the machine's own socket, agent.sock.
func (a *Agent) serveMachine() (*server, error) {
	return listen(a.life, filepath.Join(a.home, "agent.sock"), func(ctx context.Context, conn net.Conn, request control.Request) {
		if request.Op != control.OpWatch {
			refuse(conn, fmt.Sprintf("the machine's socket does not know %q", request.Op), "checkpoints are asked for at the task's own socket, $SPOTRELAY_SOCKET")
			return
		}
		a.hub.watch(conn)
		defer a.hub.leave(conn)
		_, _ = io.Copy(io.Discard, conn) // until the other side, or the agent, hangs up
	})
}

// serve serves the attempt's socket; close ends that, and may be repeated.
func (t *attempt) serve() (closeIt func(), err error) {
	if t.agent.rig != nil {
		return func() {}, nil
	}
	// What a process of an attempt with checkpoints asked as it ended must not
	// be answered for another, so its socket is its own.
	start := t.agent.sockets.listen
	if len(t.savers) > 0 {
		start = listen
	}
	s, err := start(t.agent.life, t.socketPath, func(ctx context.Context, conn net.Conn, request control.Request) {
		switch {
		case request.Op == control.OpStatus:
			t.answerStatus(ctx, conn, request)
		case request.Op != control.OpSave && request.Op != control.OpRestore:
			refuse(conn, fmt.Sprintf("%q is no operation", request.Op), "there are save, restore and status")
		case len(t.savers) == 0:
			refuse(conn, fmt.Sprintf("task %s has no checkpoint", t.id.Task), "give it a checkpoint block with a path in the job file")
		case t.transparent != nil:
			refuse(conn, fmt.Sprintf("the checkpoint of task %s is made from outside (method criu)", t.id.Task), "the agent saves it at its interval and on a notice; a task that chooses its moments has a checkpoint path")
		case request.Op == control.OpSave:
			t.answerSave(ctx, conn, request)
		default:
			t.answerRestore(ctx, conn)
		}
	})
	if err != nil {
		return nil, err
	}
	if len(t.savers) > 0 {
		return s.close, nil
	}
	return sync.OnceFunc(func() { t.agent.sockets.keep(s) }), nil
}

func (t *attempt) answerSave(ctx context.Context, conn net.Conn, request control.Request) {
	if request.Background {
		go t.saveInBackground()
		ref, _ := t.committed()
		answer(conn, control.Answer{OK: true, Checkpoint: ref})
		return
	}
	result, err := t.saveAll(ctx)
	if err != nil {
		refuse(conn, "the checkpoint was not saved: "+err.Error(), hintOf(err))
		return
	}
	answer(conn, control.Answer{OK: true, Checkpoint: &result.ref, Unchanged: result.unchanged})
}

func (t *attempt) answerRestore(ctx context.Context, conn net.Conn) {
	ref, err := t.restoreAll(ctx)
	switch {
	case errors.Is(err, errNoCheckpoint):
		refuse(conn, err.Error(), "save one first")
	case err != nil:
		refuse(conn, "the checkpoint was not restored: "+err.Error(), hintOf(err))
	default:
		answer(conn, control.Answer{OK: true, Checkpoint: ref})
	}
}

func (t *attempt) answerStatus(ctx context.Context, conn net.Conn, request control.Request) {
	status := &control.Status{AttemptID: t.id, Run: t.agent.config.Run, Resumed: t.job.Restore != nil, Notice: t.agent.notice()}
	reply := control.Answer{OK: true, Status: status}
	if request.Wait {
		if err := t.awaitSaves(ctx); err != nil {
			refuse(conn, "the attempt is ending", "")
			return
		}
	}
	reply.Checkpoint, status.Saves = t.committed()
	status.Saving, status.Error, status.Forecast = t.saving(), t.saveError(), t.forecasts()
	answer(conn, reply)
}

// hintOf is what to do about a failed save or restore.
func hintOf(err error) string {
	var broken *checkpointing.Error
	switch {
	case errors.As(err, &broken) && broken.Code == checkpointing.CodeUnsettled:
		return "don't write to the checkpoint directory while it is saved: write elsewhere and rename, or save in the foreground"
	case errors.As(err, &broken) && broken.Hint != "":
		return broken.Hint
	case errors.Is(err, bucket.ErrUnavailable):
		return "the bucket cannot be reached now; the checkpoint before is untouched, try again"
	case errors.Is(err, bucket.ErrFull):
		return "the bucket is full; the checkpoint before is untouched, make room and try again"
	}
	return ""
}
