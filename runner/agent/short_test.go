//go:build unix

package agent

import (
	"context"
	"testing"
	"time"

	"github.com/spotrelay/spotrelay/checkpointing/bucket"
	"github.com/spotrelay/spotrelay/runner/job"
	"github.com/spotrelay/spotrelay/runner/store"
)

// BenchmarkShortTasks is the agent's part of a task that does nothing: all are
// assigned at once, and eight run at a time.
func BenchmarkShortTasks(b *testing.B) {
	bucket, err := bucket.Open(b.Context(), "file://"+b.TempDir()+"?sync=off")
	if err != nil {
		b.Fatal(err)
	}
	defer bucket.Close()
	o := testOptions(bucket, b.TempDir())
	o.Config.Slots, o.Reap = 8, true
	o.Config.Timing.Poll = job.Duration(time.Hour) // nothing is given back
	a, err := New(o)
	if err != nil {
		b.Fatal(err)
	}
	ctx, cut := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- a.Run(ctx) }()
	desired := job.Desired{Run: testRun, Instance: testInstance, Epoch: 1, Sequence: 1}
	for i := range b.N {
		assignment := helper("", withCommand("true"))
		assignment.Index, assignment.Execution.Env = i, nil
		desired.Attempts = append(desired.Attempts, assignment)
	}
	for !until(func() bool {
		_, _, err := store.ReadStatus(b.Context(), bucket, testRun, testInstance)
		return err == nil
	}) {
		b.Fatal("no status came")
	}
	b.ResetTimer()
	a.take(desired)
	for {
		a.mu.Lock()
		done := len(a.ended)
		a.mu.Unlock()
		if done == b.N {
			break
		}
		until(func() bool {
			a.mu.Lock()
			defer a.mu.Unlock()
			return len(a.ended) > done
		})
	}
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "tasks/s")
	cut()
	<-ended
}
