//go:build unix

package agent

import (
	"bufio"
	"crypto/sha256"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/spotrelay/spotrelay/runner/agent/control"
	"github.com/spotrelay/spotrelay/runner/job"
)

var benchGiB = flag.Float64("gib", 1, "size of the checkpoint directory in BenchmarkNotice, in GiB")

const benchFiles = 4

// fill writes random files of the size together.
func (r *rig) fill(dir string, files int, size int64) {
	r.Helper()
	source := rand.NewChaCha8([32]byte{1})
	block := make([]byte, megabyte)
	for i := range files {
		f, err := os.Create(filepath.Join(dir, fmt.Sprintf("weights-%d", i)))
		if err != nil {
			r.Fatal(err)
		}
		for written := int64(0); written < size/int64(files); written += megabyte {
			_, _ = source.Read(block)
			if _, err := f.Write(block); err != nil {
				r.Fatal(err)
			}
		}
		if err := f.Close(); err != nil {
			r.Fatal(err)
		}
	}
}

// change overwrites a share of each file in regions of a megabyte.
func (r *rig) change(dir string, share float64, round int) (changed int64) {
	r.Helper()
	source := rand.NewChaCha8([32]byte{2, byte(round)})
	block := make([]byte, megabyte)
	for i := range benchFiles {
		f, err := os.OpenFile(filepath.Join(dir, fmt.Sprintf("weights-%d", i)), os.O_WRONLY, 0)
		if err != nil {
			r.Fatal(err)
		}
		info, err := f.Stat()
		if err != nil {
			r.Fatal(err)
		}
		regions := info.Size() / megabyte
		step := int64(1 / share)
		for at := int64(round) % step; at < regions; at += step {
			_, _ = source.Read(block)
			if _, err := f.WriteAt(block, at*megabyte); err != nil {
				r.Fatal(err)
			}
			changed += megabyte
		}
		if err := f.Close(); err != nil {
			r.Fatal(err)
		}
	}
	return changed
}

// BenchmarkNotice measures the time from a notice to the committed manifest, of
// a directory of which one hundredth has changed since the last background
// copy. The bucket is a folder: go test -run ^$ -bench Notice ./runner/agent
// -args -gib 4
func BenchmarkNotice(b *testing.B) {
	for b.Loop() {
		b.StopTimer()
		say, option := metadata(b, job.NoticeInterruption)
		g := newGate(b)
		g.commit = make(chan time.Time, 10)
		r := newRigOn(b, g, option)
		r.agent.courier.mu.Lock()
		r.agent.courier.rest, r.agent.courier.most = 200*time.Millisecond, 1<<40
		r.agent.courier.mu.Unlock()
		r.agent.bandwidth.measured(1<<40, time.Second) // a quarter of it is enough, too
		a := helper("finish-saved", withCheckpoint)
		r.assign(a)
		r.running(a.AttemptID)
		dir := filepath.Join(r.work(a.AttemptID), "ckpt")
		size := int64(*benchGiB * (1 << 30))
		r.fill(dir, benchFiles, size)
		patiently(b, "the background copy", func() bool {
			s := r.attempt(a.AttemptID).savers[0]
			s.look(b.Context())
			f, ok := s.forecast()
			return ok && f.Unsent == 0 && f.Bytes >= size
		})
		before := g.bytes()
		release := r.agent.courier.hold() // no background copy from here on
		changed := r.change(dir, 0.01, 1)
		begun := time.Now()
		b.StartTimer()
		say(noticeIn(30 * time.Second))
		go func() {
			// The notice ends the task; the last save does not wait for this.
			release()
		}()
		committed := <-g.commit
		b.StopTimer()
		b.ReportMetric(committed.Sub(begun).Seconds(), "s/notice-to-commit")
		b.ReportMetric(float64(changed)/megabyte, "MiB-changed")
		b.ReportMetric(float64(g.bytes()-before)/megabyte, "MiB-sent")
		b.ReportMetric(peakMemory(), "MiB-peak")
		r.end(a.AttemptID)
		b.StartTimer()
	}
}

// patiently waits as long as a background copy may take.
func patiently(b *testing.B, what string, condition func() bool) {
	b.Helper()
	deadline := time.Now().Add(20 * time.Minute)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for !condition() {
		if time.Now().After(deadline) {
			b.Fatal(what, "did not come")
		}
		<-tick.C
	}
}

// peakMemory is what this process held at most, in MiB; 0 where nobody knows.
func peakMemory() float64 {
	data, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(data), "VmHWM:")
	kilobytes, err := strconv.ParseFloat(strings.Fields(rest + " 0")[0], 64)
	if err != nil {
		return 0
	}
	return kilobytes / 1024
}

// compute is the task that BenchmarkAheadCost disturbs.
func compute() {
	var done atomic.Int64
	for range runtime.GOMAXPROCS(0) {
		go func() {
			block := make([]byte, 16<<10)
			for {
				sum := sha256.Sum256(block)
				copy(block, sum[:])
				done.Add(1)
			}
		}()
	}
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		fmt.Println(done.Load())
	}
}

// computing is a task that runs beside the agent.
type computing struct {
	ask    *os.File
	answer *bufio.Scanner
}

func newComputing(b *testing.B) *computing {
	self, err := os.Executable()
	if err != nil {
		b.Fatal(err)
	}
	in, ask, err := os.Pipe()
	if err != nil {
		b.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), helperVariable+"=compute")
	cmd.Stdin = in
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		b.Fatal(err)
	}
	in.Close()
	b.Cleanup(func() {
		ask.Close()
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	return &computing{ask: ask, answer: bufio.NewScanner(out)}
}

// rate is how much it does a second during so long.
func (c *computing) rate(b *testing.B, during time.Duration) float64 {
	before, begun := c.done(b), time.Now()
	timer := time.NewTimer(during)
	<-timer.C
	after := c.done(b)
	return (after - before) / time.Since(begun).Seconds()
}

func (c *computing) done(b *testing.B) float64 {
	if _, err := c.ask.WriteString("\n"); err != nil || !c.answer.Scan() {
		b.Fatal("the task does not answer: ", err)
	}
	n, err := strconv.ParseFloat(c.answer.Text(), 64)
	if err != nil {
		b.Fatal(err)
	}
	return n
}

// BenchmarkAheadCost measures what copying ahead takes from a task that computes
// on all processors meanwhile: turns with it and turns without, one after the
// other. The task, the agent and the bucket's folder share the machine.
func BenchmarkAheadCost(b *testing.B) {
	const turns, turn = 10, time.Second
	for b.Loop() {
		g := newGate(b)
		r := newRigOn(b, g)
		a := helper("wait", withCheckpoint)
		r.assign(a)
		r.running(a.AttemptID)
		r.agent.bandwidth.measured(1<<30, time.Second)
		dir := filepath.Join(r.work(a.AttemptID), "ckpt")
		release := r.agent.courier.hold()
		r.fill(dir, 100, turns*2*int64(runtime.GOMAXPROCS(0))*aheadPerCore)
		task := newComputing(b)
		task.rate(b, turn) // to warm up, and for the files to rest
		var with, without float64
		sent := int64(0)
		for i := range turns {
			if i > 0 {
				release = r.agent.courier.hold()
			}
			without += task.rate(b, turn)
			release()
			before := g.bytes()
			with += task.rate(b, turn)
			sent += g.bytes() - before
		}
		b.ReportMetric((1-with/without)*100, "%-taken-from-the-task")
		b.ReportMetric(float64(sent)/megabyte/turns/turn.Seconds(), "MiB/s-ahead")
		b.ReportMetric(0, "ns/op")
		r.ask(a.AttemptID, control.OpStatus)
	}
}
