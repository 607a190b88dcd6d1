//go:build unix

package agent

import (
	"encoding/json"
	"net"
	"sync"
	"time"

	"github.com/spotrelay/spotrelay/runner/agent/control"
	"github.com/spotrelay/spotrelay/runner/job"
)

// watchPatience is how long a watcher may take for a line before it is cut off.
const watchPatience = 250 * time.Millisecond

// hub tells those who watch the machine's socket what becomes of the saves.
// emit returns after the lines were written, so whoever reads one knows that
// the save has not come further.
type hub struct {
	mu       sync.Mutex
	watchers map[net.Conn]bool
	current  map[job.AttemptID]control.Event // newest event of each running attempt
}

func newHub() *hub {
	return &hub{watchers: map[net.Conn]bool{}, current: map[job.AttemptID]control.Event{}}
}

// emit sends an event to all who watch.
func (h *hub) emit(event control.Event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.current[job.AttemptID{Task: event.Task, Index: event.Index, Attempt: event.Attempt}] = event
	for conn := range h.watchers {
		h.write(conn, event)
	}
}

// watch adds a watcher, which first gets the newest event of each running
// attempt.
func (h *hub) watch(conn net.Conn) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.watchers[conn] = true
	for _, event := range h.current {
		h.write(conn, event)
	}
}

func (h *hub) write(conn net.Conn, event control.Event) {
	line, err := json.Marshal(event)
	if err == nil {
		_ = conn.SetWriteDeadline(time.Now().Add(watchPatience))
		_, err = conn.Write(append(line, '\n'))
	}
	if err != nil {
		delete(h.watchers, conn)
		conn.Close()
	}
}

// leave forgets a watcher.
func (h *hub) leave(conn net.Conn) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.watchers, conn)
}

// forget drops what is known of an attempt that has ended.
func (h *hub) forget(id job.AttemptID) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.current, id)
}
