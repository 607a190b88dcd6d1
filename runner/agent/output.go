//go:build unix

package agent

import (
	"context"
	"fmt"
	"io"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/spotrelay/spotrelay/runner/job"
	"github.com/spotrelay/spotrelay/runner/store"
)

// output is an attempt's log: what its processes write, and between it lines
// of our own. The store's writer decides what happens while the bucket cannot
// be written: a process is never held up for that.
type output struct {
	log   *store.LogWriter
	notes chan string
	noted chan struct{} // all notes are written

	mu      sync.Mutex // held while writing, so that pieces stay whole
	midLine bool       // the last byte was no line end

	noteMu sync.Mutex // guards the closing of notes
	closed bool
}

// noteBacklog is how many lines of ours may wait for a log that is held up;
// further ones are dropped.
const noteBacklog = 64

func newOutput(a *Agent, id job.AttemptID, part *job.GangPart) *output {
	options := store.LogOptions{SpillDir: a.spillDir()}
	if part != nil {
		options.Prefix = store.NodeLogPrefix(a.config.Run, id, part.Node, part.Incarnation)
	}
	o := &output{
		log:   store.NewLogWriter(a.life, a.bucket, a.config.Run, id, options),
		notes: make(chan string, noteBacklog),
		noted: make(chan struct{}),
	}
	go o.writeNotes()
	return o
}

// note adds a line of ours. It never blocks, and does nothing once the log is
// closed.
func (o *output) note(format string, args ...any) {
	o.noteMu.Lock()
	defer o.noteMu.Unlock()
	if o.closed {
		return
	}
	select {
	case o.notes <- "[spotrelay] " + fmt.Sprintf(format, args...) + "\n":
	default:
	}
}

func (o *output) writeNotes() {
	defer close(o.noted)
	for line := range o.notes {
		o.mu.Lock()
		if o.midLine {
			line = "\n" + line
		}
		_, _ = o.log.Write([]byte(line)) // fails only when the log is closed
		o.midLine = false
		o.mu.Unlock()
	}
}

// Write takes what a process wrote.
func (o *output) Write(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.midLine = p[len(p)-1] != '\n'
	return o.log.Write(p)
}

func (o *output) written() int64 { return o.log.Written() }

// close sends what is left. What cannot be sent before ctx ends is lost.
func (o *output) close(ctx context.Context, cancel context.CancelFunc) {
	defer cancel()
	o.noteMu.Lock()
	o.closed = true
	close(o.notes)
	o.noteMu.Unlock()
	select {
	case <-o.noted:
	case <-ctx.Done():
	}
	_ = o.log.Close(ctx) // it puts what is missing into the log itself where it can
}

// pipe is the way from the processes of an attempt to its log.
type pipe struct {
	read  *os.File
	write *os.File // for the processes; closed here once they are started
	done  chan struct{}
}

// buffers are between a pipe and its log.
var buffers = sync.Pool{New: func() any { return new([64 << 10]byte) }}

// newPipe makes the pipe and starts to copy to w. The writing end blocks, as
// programs expect of their output; the reading end doesn't, so that it can be
// given up.
func newPipe(w io.Writer) (*pipe, error) {
	var ends [2]int
	if err := syscall.Pipe(ends[:]); err != nil {
		return nil, os.NewSyscallError("pipe", err)
	}
	syscall.CloseOnExec(ends[0])
	syscall.CloseOnExec(ends[1])
	if err := syscall.SetNonblock(ends[0], true); err != nil {
		syscall.Close(ends[0])
		syscall.Close(ends[1])
		return nil, os.NewSyscallError("setnonblock", err)
	}
	p := &pipe{
		read:  os.NewFile(uintptr(ends[0]), "output"),
		write: os.NewFile(uintptr(ends[1]), "output"),
		done:  make(chan struct{}),
	}
	go func() {
		defer close(p.done)
		buffer := buffers.Get().(*[64 << 10]byte)
		defer buffers.Put(buffer)
		_, err := io.CopyBuffer(onlyWriter{w}, onlyReader{p.read}, buffer[:])
		if err != nil {
			// The log is closed: what still comes is read and dropped, so that
			// a process is not held up before it is killed.
			_, _ = io.Copy(io.Discard, onlyReader{p.read})
		}
	}()
	return p, nil
}

// name is what the system calls it in /proc: "pipe:[4711]".
func (p *pipe) name() string {
	var stat syscall.Stat_t
	raw, err := p.read.SyscallConn()
	if err != nil {
		return ""
	}
	_ = raw.Control(func(fd uintptr) { err = syscall.Fstat(int(fd), &stat) })
	if err != nil {
		return ""
	}
	return fmt.Sprintf("pipe:[%d]", stat.Ino)
}

// onlyReader and onlyWriter hide the shortcuts that io.Copy would take.
type onlyReader struct{ io.Reader }
type onlyWriter struct{ io.Writer }

// drained waits until the processes have closed their end and all is copied,
// at most so long, and gives up what comes later.
func (p *pipe) drained(atMost time.Duration) {
	timer := time.NewTimer(atMost)
	defer timer.Stop()
	select {
	case <-p.done:
	case <-timer.C:
	}
	p.read.Close()
}
