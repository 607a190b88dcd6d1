package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/spotrelay/spotrelay/checkpointing/bucket"
	"github.com/spotrelay/spotrelay/runner/store"
)

// hang bounds the wait for what must come; it is no judgement of speed.
const hang = 4 * time.Minute

// controlling is a process that controls a run, or waits to.
type controlling struct {
	cmd    *exec.Cmd
	run    string
	stderr bytes.Buffer
	late   bool          // it was stopped until another had its run
	gone   chan struct{} // closed when it ended
	over   bool          // it saw the run's end; after gone
	err    error         // of its end; after gone
}

// control starts a controller and returns when it has said which run it is
// about.
func (p *place) control(args ...string) *controlling {
	p.t.Helper()
	c := &controlling{cmd: p.command(context.Background(), append(args, "--json")...), gone: make(chan struct{})}
	c.cmd.Stderr = &c.stderr
	stdout, err := c.cmd.StdoutPipe()
	if err == nil {
		err = c.cmd.Start()
	}
	if err != nil {
		p.t.Fatal(err)
	}
	lines := bufio.NewScanner(stdout)
	lines.Buffer(nil, 4<<20)
	var started startedJSON
	if !lines.Scan() || json.Unmarshal(lines.Bytes(), &started) != nil || started.Event != "run-started" {
		p.t.Fatalf("%v: it said %q: %v\n%s", args, lines.Text(), c.cmd.Wait(), c.stderr.String())
	}
	c.run = started.Run
	go func() {
		defer close(c.gone)
		for lines.Scan() {
			var event eventJSON
			if json.Unmarshal(lines.Bytes(), &event) == nil && event.Event == "run-ended" {
				c.over = true
			}
		}
		c.err = c.cmd.Wait()
	}()
	p.t.Cleanup(func() {
		_ = c.cmd.Process.Kill() // it has ended when all went well
		<-c.gone
	})
	return c
}

func (c *controlling) ended() bool {
	select {
	case <-c.gone:
		return true
	default:
		return false
	}
}

// await polls until a condition holds or stop ends the wait, which gives false.
func await(t testing.TB, what string, stop <-chan struct{}, holds func() bool) bool {
	t.Helper()
	limit := time.After(hang)
	look := time.NewTicker(500 * time.Microsecond)
	defer look.Stop()
	for !holds() {
		select {
		case <-look.C:
		case <-stop:
			return false
		case <-limit:
			t.Fatalf("it does not come: %s", what)
		}
	}
	return true
}

// passes lets a time go by, or gives false when stop ends it.
func passes(d time.Duration, stop <-chan struct{}) bool {
	select {
	case <-time.After(d):
		return true
	case <-stop:
		return false
	}
}

// journalled counts the entries of a run in the place's folder.
func (p *place) journalled(run string) int {
	names, _ := os.ReadDir(filepath.Join(p.bucket(), filepath.FromSlash(store.JournalPrefix(run)))) // none before the first
	return len(names)
}

// TestProcessesKilledAndStopped kills and stops controllers, plugins and agents
// at moments from a seed: the run ends as it should, each index commits once,
// and nothing is left.
func TestProcessesKilledAndStopped(t *testing.T) {
	blows := 12
	if soak() {
		blows = 240
	}
	f := newForce(t, newPlace(t), walk{count: 5, steps: 8, bytes: 40_000})
	for blows > 0 {
		done := f.batter(blows)
		if done == 0 {
			t.Fatal("a run ended before anything could be done to it")
		}
		blows -= done
	}
}

// batter makes a run, deals at most so many blows to its processes, and sees it
// to its end. It gives the number of blows.
func (f *force) batter(most int) (dealt int) {
	f.t.Helper()
	b := f.open()
	defer b.Close()
	c := f.control("run", f.file)
	all := []*controlling{c}
	blows := []func(*controlling) (string, *controlling){
		f.killController, f.stopController(b), f.killPlugin, f.stopPlugin, f.killAgent, f.stopAgent,
	}
	order := f.chance.Perm(len(blows))
	for turn := 0; dealt < most; turn++ {
		goal := f.journalled(c.run) + 1 + f.chance.IntN(4)
		if !await(f.t, "an entry in the journal", c.gone, func() bool { return f.journalled(c.run) >= goal }) {
			break
		}
		if !passes(f.within(5*time.Millisecond), c.gone) {
			break
		}
		what, next := blows[order[turn%len(order)]](c)
		if what == "" {
			continue // there was none to strike
		}
		f.t.Logf("%s at entry %d", what, goal)
		if next != nil {
			all = append(all, next)
			c = next
		}
		dealt++
	}
	f.finish(all)
	f.check(c.run)
	return dealt
}

// finish sees a run to its end and its controllers go: those that were not
// killed, and did not lose their run, end well.
func (f *force) finish(all []*controlling) {
	f.t.Helper()
	f.spotrelay(exitSucceeded, "attach", all[0].run)
	for _, c := range all {
		await(f.t, "the end of a controller", nil, c.ended)
		var exit *exec.ExitError
		killed := errors.As(c.err, &exit) && !exit.Exited()
		if c.err != nil && !killed && !c.late {
			f.t.Errorf("a controller ended with %v\n%s", c.err, tail(c.stderr.String()))
		}
	}
}

func (f *force) killController(c *controlling) (string, *controlling) {
	_ = c.cmd.Process.Kill() // it may have ended
	<-c.gone
	return "killed the controller", f.control("attach", c.run)
}

// stopController stops the controller until another has the run, and then lets
// it go on where it was: in the middle of what it had decided.
func (f *force) stopController(b bucket.Bucket) func(*controlling) (string, *controlling) {
	return func(c *controlling) (string, *controlling) {
		before, _, err := store.ReadLease(f.t.Context(), b, c.run)
		if err != nil {
			f.t.Fatal(err)
		}
		f.signal(c.cmd.Process.Pid, syscall.SIGSTOP)
		next := f.control("attach", c.run)
		await(f.t, "another controller", next.gone, func() bool {
			now, _, err := store.ReadLease(f.t.Context(), b, c.run)
			return err == nil && now.Epoch > before.Epoch
		})
		entries := f.journalled(c.run)
		await(f.t, "its first entry", next.gone, func() bool { return f.journalled(c.run) > entries })
		c.late = true
		f.signal(c.cmd.Process.Pid, syscall.SIGCONT)
		return "stopped the controller until another had taken over", next
	}
}

func (f *force) killPlugin(c *controlling) (string, *controlling) {
	return f.strike("a plugin", f.plugins(c), syscall.SIGKILL, 0, c)
}

func (f *force) stopPlugin(c *controlling) (string, *controlling) {
	return f.strike("a plugin", f.plugins(c), syscall.SIGSTOP, 2*time.Second, c)
}

func (f *force) killAgent(c *controlling) (string, *controlling) {
	return f.strike("an agent", f.agents(), syscall.SIGKILL, 0, c)
}

// stopAgent stops an agent, for longer than it may be silent or not.
func (f *force) stopAgent(c *controlling) (string, *controlling) {
	return f.strike("an agent", f.agents(), syscall.SIGSTOP, 6*time.Second, c)
}

// strike sends a signal to one of some processes; one that is stopped goes on
// after a random time.
func (f *force) strike(kind string, pids []int, signal syscall.Signal, most time.Duration, c *controlling) (string, *controlling) {
	if len(pids) == 0 {
		return "", nil
	}
	pid := pids[f.chance.IntN(len(pids))]
	f.signal(pid, signal)
	if signal != syscall.SIGSTOP {
		return "killed " + kind, nil
	}
	pause := f.within(most)
	passes(pause, c.gone)
	f.signal(pid, syscall.SIGCONT)
	return "stopped " + kind + " for " + pause.String(), nil
}

// signal sends a signal to a process that may have ended.
func (f *force) signal(pid int, signal syscall.Signal) {
	f.t.Helper()
	if err := syscall.Kill(pid, signal); err != nil && !errors.Is(err, syscall.ESRCH) {
		f.t.Fatal(err)
	}
}

// plugins are the plugin processes of a controller.
func (f *force) plugins(c *controlling) []int {
	parent := "\nPPid:\t" + strconv.Itoa(c.cmd.Process.Pid) + "\n"
	return f.processes(func(pid int, command string) bool {
		status, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "status"))
		return err == nil && strings.Contains(command, "plugin serve") && strings.Contains(string(status), parent)
	})
}

// agents are the agents of all instances of the place.
func (f *force) agents() []int {
	return f.processes(func(pid int, _ string) bool {
		exe, err := os.Readlink(filepath.Join("/proc", strconv.Itoa(pid), "exe"))
		return err == nil && filepath.Base(exe) == "spotrelay-agent"
	})
}

func (f *force) processes(wanted func(pid int, command string) bool) []int {
	var pids []int
	for pid, command := range processesOf(f.dir) {
		if wanted(pid, command) {
			pids = append(pids, pid)
		}
	}
	slices.Sort(pids)
	return pids
}
