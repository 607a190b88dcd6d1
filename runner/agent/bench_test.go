//go:build unix

package agent

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/spotrelay/spotrelay/checkpointing/bucket"
	_ "github.com/spotrelay/spotrelay/checkpointing/bucket/s3bucket" // opens s3://
	"github.com/spotrelay/spotrelay/checkpointing/bucket/servertest"
	"github.com/spotrelay/spotrelay/runner/job"
)

// What the agent is measured by: make bench-agent.
var (
	benchGiB    = flag.Float64("gib", 1, "size of the checkpoint directory in BenchmarkNotice, in GiB")
	benchRounds = flag.Int("rounds", 3, "notices in BenchmarkNotice")
	benchPairs  = flag.Int("pairs", 6, "pairs of turns in BenchmarkAheadCost")
	benchTurn   = flag.Duration("turn", 5*time.Second, "length of a turn in BenchmarkAheadCost")
)

// figures is the table that is printed at the end.
var figures [][]string

// figure adds a row: the median of the values, the least and the greatest.
func figure(b *testing.B, what, unit, goal string, values []float64) {
	slices.Sort(values)
	b.ReportMetric(0, "ns/op") // which would count the preparations
	b.ReportMetric(median(values), unit)
	figures = append(figures, []string{
		what, show(median(values)) + " " + unit, show(values[0]) + " to " + show(values[len(values)-1]), goal,
	})
}

// median of sorted values.
func median(sorted []float64) float64 {
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

func show(value float64) string { return strconv.FormatFloat(value, 'f', 2, 64) }

// printFigures prints the table, if anything was measured.
func printFigures() {
	if len(figures) == 0 {
		return
	}
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "\nWHAT\tMEDIAN\tRANGE\tGOAL")
	for _, row := range figures {
		fmt.Fprintln(w, strings.Join(row, "\t"))
	}
	_ = w.Flush() // to the terminal
}

// benchBucket is a bucket on a real S3 server on loopback, over TLS, or a
// folder.
func benchBucket(b *testing.B, kind string) bucket.Bucket {
	b.Helper()
	if kind == "folder" {
		opened, _ := folderBucket(b)
		return opened
	}
	authority, err := servertest.NewAuthority(b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	opened, err := bucket.Open(b.Context(), servertest.StartS3(b, authority).URL("acme/spotrelay"))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { opened.Close() })
	return opened
}

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

// change overwrites one hundredth of each file, in regions of a megabyte.
func (r *rig) change(dir string) (changed int64) {
	r.Helper()
	paths, err := filepath.Glob(filepath.Join(dir, "weights-*"))
	if err != nil || len(paths) == 0 {
		r.Fatal("no files to change: ", err)
	}
	source := rand.NewChaCha8([32]byte{2})
	block := make([]byte, megabyte)
	for _, path := range paths {
		f, err := os.OpenFile(path, os.O_WRONLY, 0)
		if err != nil {
			r.Fatal(err)
		}
		info, err := f.Stat()
		if err != nil {
			r.Fatal(err)
		}
		for at := int64(1); at < info.Size()/megabyte; at += 100 {
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

// noticed is what one notice took.
type noticed struct{ seconds, cpu, changed, sent float64 }

// BenchmarkNotice measures the time from the moment at which the metadata
// service says that the instance is taken away to the committed manifest, of a
// directory of which one hundredth, spread over all its files, has changed since
// the last background copy. The bucket is on a real S3 server, over TLS, which
// shares the machine.
func BenchmarkNotice(b *testing.B) {
	var seconds, cpu, changed, sent []float64
	for range *benchRounds {
		b.Run("round", func(b *testing.B) {
			for range b.N {
				n := oneNotice(b)
				seconds, cpu = append(seconds, n.seconds), append(cpu, n.cpu)
				changed, sent = append(changed, n.changed), append(sent, n.sent)
			}
		})
	}
	if len(seconds) == 0 {
		b.Skip("no round was made")
	}
	what := fmt.Sprintf("of %g GiB, ", *benchGiB)
	figure(b, what+"from the notice to the committed manifest", "s", "under 2 s", seconds)
	figure(b, what+"processor time of the agent for it", "cpu-s", "", cpu)
	figure(b, what+"changed since the background copy", "MiB", "", changed)
	figure(b, what+"sent after the notice", "MiB", "", sent)
	figure(b, what+"peak memory of the agent", "MiB", "", []float64{peakMemory()})
}

func oneNotice(b *testing.B) noticed {
	say, option := metadata(b, job.NoticeInterruption)
	g := &gate{Bucket: benchBucket(b, "S3"), commit: make(chan time.Time, 1)}
	r := newRigOn(b, g, option)
	// The background copy as fast as it can, to have it behind us.
	r.agent.courier.mu.Lock()
	r.agent.courier.most = 1 << 40
	r.agent.courier.mu.Unlock()
	r.agent.bandwidth.measured(1<<40, time.Second)
	a := helper("finish-saved", withCheckpoint)
	r.assign(a)
	r.running(a.AttemptID)
	dir := filepath.Join(r.work(a.AttemptID), "ckpt")
	size := int64(*benchGiB * (1 << 30))
	r.fill(dir, 4, size)
	s := r.attempt(a.AttemptID).savers[0]
	patiently(b, "the background copy", func() bool {
		s.look(b.Context())
		f, ok := s.forecast()
		return ok && f.Unsent == 0 && f.Bytes >= size
	})
	release := r.agent.courier.hold() // no background copy of what changes now
	defer release()
	changed := r.change(dir)
	before, cpu := g.bytes(), ownCPU()
	begun := time.Now()
	say(noticeIn(30 * time.Second))
	release()
	var committed time.Time
	select {
	case committed = <-g.commit:
	case <-time.After(5 * time.Minute):
		b.Fatal("nothing was committed")
	}
	cpu = ownCPU() - cpu
	end := r.end(a.AttemptID)
	if end.Saved == nil || end.Saved.Bytes < size {
		b.Fatalf("the attempt ended with %+v", end)
	}
	return noticed{committed.Sub(begun).Seconds(), cpu, float64(changed) / megabyte, float64(g.bytes()-before) / megabyte}
}

// patiently waits as long as a background copy may take.
func patiently(b *testing.B, what string, condition func() bool) {
	b.Helper()
	deadline := time.Now().Add(20 * time.Minute)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for !condition() {
		if time.Now().After(deadline) {
			b.Fatal(what, " did not come")
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
