package plugins

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/go-plugin/runner"
)

// drainTime is how long a dead plugin's pipes are read on. They may be held open
// for ever by a process that it left behind.
const drainTime = 250 * time.Millisecond

// process is a plugin's process, in the form that go-plugin wants. It has a
// process group of its own, so that Ctrl-C in the terminal does not reach it,
// and a pipe as its standard input whose end tells it that we died.
type process struct {
	command *exec.Cmd
	log     *slog.Logger
	tail    *tail
	failed  func() // called when it cannot be started; may be nil

	stdin          *os.File // our end; never written to
	stdout, stderr *os.File // our ends
	greeting       *io.PipeReader
	exited         chan struct{} // closed when the process is gone
	drained        sync.WaitGroup

	mu      sync.Mutex
	err     error  // of its end
	version string // of the protocol, from its first line
}

var _ runner.Runner = (*process)(nil)

func newProcess(command *exec.Cmd, log *slog.Logger) *process {
	ownGroup(command)
	return &process{command: command, log: log, tail: &tail{}, exited: make(chan struct{})}
}

// Start implements runner.Runner.
func (p *process) Start(context.Context) error {
	stdinRead, stdinWrite, err1 := os.Pipe()
	stdoutRead, stdoutWrite, err2 := os.Pipe()
	stderrRead, stderrWrite, err3 := os.Pipe()
	defer closeAll(stdinRead, stdoutWrite, stderrWrite)
	p.stdin, p.stdout, p.stderr = stdinWrite, stdoutRead, stderrRead
	err := errors.Join(err1, err2, err3)
	if err == nil {
		p.command.Stdin, p.command.Stdout, p.command.Stderr = stdinRead, stdoutWrite, stderrWrite
		err = p.command.Start()
	}
	if err != nil {
		p.closePipes()
		close(p.exited)
		if p.failed != nil {
			p.failed()
		}
		return err
	}
	p.watch()
	return nil
}

// watch reads what the process prints and waits for its end.
func (p *process) watch() {
	greetingRead, greetingWrite := io.Pipe()
	p.greeting = greetingRead
	p.drained.Go(func() {
		eachLine(p.stderr, p.printed)
	})
	p.drained.Go(func() {
		// The first line is go-plugin's. What follows is noise: Serve has
		// moved standard output away by then.
		first := true
		eachLine(p.stdout, func(line string) {
			if !first {
				p.printed(line)
				return
			}
			first = false
			p.greeted(line)
			_, _ = io.WriteString(greetingWrite, line+"\n")
		})
		_ = greetingWrite.Close()
	})
	go func() {
		err := p.command.Wait()
		deadline := time.Now().Add(drainTime)
		_ = p.stdout.SetReadDeadline(deadline)
		_ = p.stderr.SetReadDeadline(deadline)
		p.mu.Lock()
		p.err = err
		p.mu.Unlock()
		p.drained.Wait()
		p.closePipes()
		close(p.exited)
	}()
}

func (p *process) closePipes() { closeAll(p.stdin, p.stdout, p.stderr) }

func closeAll(files ...*os.File) {
	for _, file := range files {
		if file != nil {
			_ = file.Close()
		}
	}
}

// end says how the process ended, in words.
func (p *process) end() string {
	if !p.gone() {
		return "still running"
	}
	return p.command.ProcessState.String()
}

func (p *process) printed(line string) {
	p.tail.add(line)
	logLine(p.log, line)
}

// greeted notes the protocol version in "CORE|VERSION|NETWORK|ADDRESS|...".
func (p *process) greeted(line string) {
	fields := strings.Split(line, "|")
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(fields) >= 4 {
		p.version = fields[1]
	} else {
		p.tail.add(line)
	}
}

// spoke is the protocol version that the plugin said it speaks, if it did.
func (p *process) spoke() (int, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	version, err := strconv.Atoi(p.version)
	return version, err == nil
}

// gone reports whether the process has ended.
func (p *process) gone() bool {
	select {
	case <-p.exited:
		return true
	default:
		return false
	}
}

// Wait implements runner.Runner.
func (p *process) Wait(context.Context) error {
	<-p.exited
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.err
}

// Kill implements runner.Runner. The reading of the greeting ends too, in case
// nobody reads it any more.
func (p *process) Kill(context.Context) error {
	if p.greeting != nil {
		_ = p.greeting.Close()
	}
	if p.command.Process == nil {
		return nil
	}
	if err := p.command.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	return nil
}

// Stdout implements runner.Runner: the greeting and then nothing.
func (p *process) Stdout() io.ReadCloser { return p.greeting }

// Stderr implements runner.Runner: nothing, as it is read here.
func (p *process) Stderr() io.ReadCloser { return io.NopCloser(strings.NewReader("")) }

// Name implements runner.Runner.
func (p *process) Name() string { return p.command.Path }

// ID implements runner.Runner.
func (p *process) ID() string {
	if p.command.Process == nil {
		return ""
	}
	return strconv.Itoa(p.command.Process.Pid)
}

// Diagnose implements runner.Runner.
func (p *process) Diagnose(context.Context) string { return p.tail.hint() }

// PluginToHost implements runner.AddrTranslator: both see the same addresses.
func (p *process) PluginToHost(network, address string) (string, string, error) {
	return network, address, nil
}

// HostToPlugin implements runner.AddrTranslator.
func (p *process) HostToPlugin(network, address string) (string, string, error) {
	return network, address, nil
}
