//go:build unix

package agent

import (
	"crypto/sha256"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// compute is a task that works on all processors. Who connects to the port that
// it writes down is told how much it has done by then, in how many seconds of a
// processor.
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
		_, _ = fmt.Fprint(conn, done.Load(), " ", ownCPU()) // nobody may listen any more
		_ = conn.Close()
	}
}

// computing is the task compute.
type computing struct{ address string }

func (c computing) done(b *testing.B) (done, cpu float64) {
	b.Helper()
	conn, err := net.Dial("tcp", c.address)
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close()
	if _, err := fmt.Fscan(conn, &done, &cpu); err != nil {
		b.Fatal(err)
	}
	return done, cpu
}

// turn is what happened in a turn, each for a second.
type turn struct {
	done   float64 // by the task
	worked float64 // by the task, for a second of a processor
	cpu    float64 // seconds of a processor, of the agent
	sent   float64 // bytes ahead
}

func (c computing) turn(b *testing.B, g *gate) turn {
	b.Helper()
	sent, cpu, begun := g.bytes(), ownCPU(), time.Now()
	before, cpuBefore := c.done(b)
	<-time.After(*benchTurn)
	after, cpuAfter := c.done(b)
	took := time.Since(begun).Seconds()
	return turn{
		done: (after - before) / took, worked: (after - before) / (cpuAfter - cpuBefore),
		cpu: (ownCPU() - cpu) / took, sent: float64(g.bytes()-sent) / took,
	}
}

// ownCPU is the time that this process had a processor, in seconds.
func ownCPU() float64 {
	var u syscall.Rusage
	must(syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()).Seconds()
}

// BenchmarkAheadCost measures what copying ahead takes from a task that computes
// on all processors meanwhile: turns with it and turns without, in pairs. Task
// and agent share the machine with the bucket: a folder, or an S3 server, which
// on an instance would be elsewhere; what it uses is counted against the agent.
// Where others use the machine, too, the task's throughput says little; how much
// it does in a second of a processor, and how many of those the agent takes, say
// the same without them and without the server.
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
	var taken, counted, cpu, sent []float64
	for i := range *benchPairs {
		var alone, beside turn
		if i%2 == 0 {
			alone, beside = without(), with()
		} else {
			beside, alone = with(), without()
		}
		taken = append(taken, 100*(1-beside.done/alone.done))
		used := (beside.cpu - alone.cpu) / float64(runtime.NumCPU())
		counted = append(counted, 100*(1-beside.worked/alone.worked*(1-used)))
		cpu = append(cpu, 100*used)
		sent = append(sent, beside.sent/megabyte)
	}
	release()
	if slices.Max(sent) == 0 {
		b.Fatal("nothing was copied ahead")
	}
	figure(b, "copying ahead into "+kind+", taken from the task", "%", "under 3 %", taken)
	figure(b, "copying ahead into "+kind+", the same by processor time", "%counted", "under 3 %", counted)
	figure(b, "copying ahead into "+kind+", processors used by the agent", "%cpu", "", cpu)
	figure(b, "copying ahead into "+kind+", sent", "MiB/s", "", sent)
}
