//go:build unix

package agent

import (
	"crypto/sha256"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// compute is a task that works on all processors. Who connects to the port that
// it writes down is told how much it has done by then.
func compute() {
	var done atomic.Int64
	for range runtime.NumCPU() {
		go func() {
			block := make([]byte, 16<<10)
			for {
				sum := sha256.Sum256(block)
				copy(block, sum[:])
				done.Add(1)
			}
		}()
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(err)
	write("port", listener.Addr().String())
	ready()
	for {
		conn, err := listener.Accept()
		must(err)
		_, _ = fmt.Fprint(conn, done.Load()) // nobody may listen any more
		_ = conn.Close()
	}
}

// computing is the task compute.
type computing struct{ address string }

func (c computing) done(b *testing.B) float64 {
	b.Helper()
	conn, err := net.Dial("tcp", c.address)
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close()
	text, err := io.ReadAll(conn)
	if err != nil {
		b.Fatal(err)
	}
	n, err := strconv.ParseFloat(string(text), 64)
	if err != nil {
		b.Fatal(err)
	}
	return n
}

// turn is what happened in a turn, each for a second.
type turn struct {
	done float64 // by the task
	cpu  float64 // seconds of the agent
	sent float64 // bytes ahead
}

func (c computing) turn(b *testing.B, g *gate) turn {
	b.Helper()
	sent, cpu, begun, before := g.bytes(), ownCPU(b), time.Now(), c.done(b)
	<-time.After(*benchTurn)
	after, took := c.done(b), time.Since(begun).Seconds()
	return turn{(after - before) / took, (ownCPU(b) - cpu) / took, float64(g.bytes()-sent) / took}
}

// ownCPU is the time that this process, the agent, had a processor, in seconds.
func ownCPU(b *testing.B) float64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()).Seconds()
}

// BenchmarkAheadCost measures what copying ahead takes from a task that computes
// on all processors meanwhile: turns with it and turns without, in pairs. Task
// and agent share the machine with the bucket: a folder, or an S3 server, which
// on an instance would be elsewhere; what it uses is counted against the agent.
func BenchmarkAheadCost(b *testing.B) {
	for _, kind := range []string{"folder", "S3"} {
		b.Run(kind, func(b *testing.B) {
			for range b.N {
				aheadCost(b, kind)
			}
		})
	}
}

func aheadCost(b *testing.B, kind string) {
	g := &gate{Bucket: benchBucket(b, kind)}
	r := newRigOn(b, g)
	a := helper("compute", withCheckpoint)
	r.assign(a)
	r.running(a.AttemptID)
	r.agent.bandwidth.measured(1<<30, time.Second) // it is the processors that bound it
	dir := filepath.Join(r.work(a.AttemptID), "ckpt")
	release := r.agent.courier.hold()
	seconds := float64(*benchPairs+1) * benchTurn.Seconds()
	r.fill(dir, 100, int64(2*seconds)*int64(runtime.GOMAXPROCS(0))*aheadPerCore)
	address, err := os.ReadFile(filepath.Join(r.work(a.AttemptID), "port"))
	if err != nil {
		b.Fatal(err)
	}
	task := computing{string(address)}
	without := func() turn { return task.turn(b, g) }
	with := func() turn {
		r.agent.courier.set(r.attempt(a.AttemptID).savers[0], func(e *ahead) { e.due = time.Time{} })
		release()
		defer func() { release = r.agent.courier.hold() }()
		return task.turn(b, g)
	}
	without() // to warm up, and for the files to rest
	with()
	var taken, cpu, sent []float64
	for i := range *benchPairs {
		var alone, beside turn
		if i%2 == 0 {
			alone, beside = without(), with()
		} else {
			beside, alone = with(), without()
		}
		if beside.sent == 0 {
			b.Fatal("nothing was copied ahead")
		}
		taken = append(taken, 100*(1-beside.done/alone.done))
		cpu = append(cpu, 100*(beside.cpu-alone.cpu)/float64(runtime.NumCPU()))
		sent = append(sent, beside.sent/megabyte)
	}
	release()
	figure(b, "copying ahead into "+kind+", taken from the task", "%", "under 3 %", taken)
	figure(b, "copying ahead into "+kind+", processors used by the agent", "%cpu", "", cpu)
	figure(b, "copying ahead into "+kind+", sent", "MiB/s", "", sent)
}
