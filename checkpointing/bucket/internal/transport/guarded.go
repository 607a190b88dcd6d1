package transport

import (
	"bufio"
	"net"
	"sync"
	"time"
)

// guarded is a connection that fails when neither direction moves for stall.
// Whatever moves extends both, since an answer is waited for while its request
// is still being sent.
type guarded struct {
	net.Conn
	stall time.Duration
	taken *bufio.Reader

	out     sync.Mutex
	corked  bool
	pending []byte
	failed  error // of a send; none can follow
}

func newGuarded(conn net.Conn) *guarded {
	g := &guarded{Conn: conn, stall: stall}
	g.taken = bufio.NewReaderSize(filler{g}, together)
	return g
}

// Read reads what was taken from the connection, or takes more.
func (g *guarded) Read(p []byte) (int, error) { return g.taken.Read(p) }

// filler takes from the connection.
type filler struct{ *guarded }

func (f filler) Read(p []byte) (int, error) { return f.fill(p) }

func (g *guarded) fill(p []byte) (int, error) {
	if err := g.SetDeadline(time.Now().Add(g.stall)); err != nil {
		return 0, err
	}
	return g.Conn.Read(p)
}

// Write sends p, or keeps it while the connection is corked.
func (g *guarded) Write(p []byte) (int, error) {
	g.out.Lock()
	defer g.out.Unlock()
	if g.failed == nil && len(g.pending)+len(p) > together+recordExtra {
		g.flush()
	}
	if !g.corked && g.failed == nil {
		return g.send(p)
	}
	g.pending = append(g.pending, p...)
	return len(p), g.failed
}

// cork keeps what is written until uncork, or until it is much.
func (g *guarded) cork() {
	g.out.Lock()
	defer g.out.Unlock()
	g.corked = true
	if g.pending == nil {
		g.pending = make([]byte, 0, together+recordExtra)
	}
}

// uncork sends what was kept.
func (g *guarded) uncork() error {
	g.out.Lock()
	defer g.out.Unlock()
	g.corked = false
	g.flush()
	return g.failed
}

func (g *guarded) flush() {
	if len(g.pending) > 0 && g.failed == nil {
		_, _ = g.send(g.pending) // its error is kept
	}
	g.pending = g.pending[:0]
}

func (g *guarded) send(p []byte) (int, error) {
	if g.failed = g.SetDeadline(time.Now().Add(g.stall)); g.failed != nil {
		return 0, g.failed
	}
	n, err := g.Conn.Write(p)
	g.failed = err
	return n, err
}
