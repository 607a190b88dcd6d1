//go:build unix

package agent

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"github.com/spotrelay/spotrelay/checkpointing"
	"github.com/spotrelay/spotrelay/checkpointing/bucket"
	"github.com/spotrelay/spotrelay/runner/job"
	"github.com/spotrelay/spotrelay/runner/store"
)

// commitPatience is how long a result waits for a bucket that cannot be
// reached or is full, when nothing hurries: that must not cost finished work.
const commitPatience = 6 * time.Hour

// commit commits what the ended command leaves: on exit 0 the output, and the
// checkpoint where the kind of end makes it worth trusting (see the package's
// comment).
func (t *attempt) commit() error {
	ctx, cancel := t.commitContext(commitPatience)
	defer cancel()
	defer t.hurry(cancel)()
	stops, _ := t.told()
	t.mu.Lock()
	code, killed := t.end.ExitCode, t.end.Signal != ""
	t.mu.Unlock()
	succeeded := !killed && code == 0
	var err error
	if succeeded {
		if err = t.takeResult(); err == nil {
			err = t.commitOutput(ctx)
		}
	}
	nothing := len(t.savers) == 0 || t.transparent != nil && !t.transparent.dumped()
	if nothing || !succeeded && !(code == job.ExitSaved && !killed) && len(stops) == 0 {
		t.closeSavers() // what is being saved now may be half written
		return err
	}
	saveErr := t.saveLast(ctx)
	switch {
	case saveErr == nil:
	case isFull(saveErr):
		t.record(func(end *job.AttemptEnd) { end.DiskFull = true })
		fallthrough
	case len(stops) > 0 || succeeded:
		t.warn("the last checkpoint could not be saved: %v", saveErr)
	case err == nil:
		err = fmt.Errorf("the last checkpoint could not be saved: %w", saveErr)
	}
	return err
}

// hurry ends the commit in time when the attempt is told to stop while it
// waits for the bucket. The result ends the watch.
func (t *attempt) hurry(cancel context.CancelFunc) func() {
	finished := make(chan struct{})
	go func() {
		for {
			select {
			case <-finished:
				return
			case <-t.poked:
			}
			_, deadline := t.told()
			if !deadline.IsZero() {
				timer := time.AfterFunc(time.Until(deadline)+beyondDeadline, cancel)
				<-finished
				timer.Stop()
				return
			}
		}
	}()
	return func() { close(finished) }
}

// commitOutput commits the declared output under the attempt's own key, which
// proves the success by itself.
func (t *attempt) commitOutput(ctx context.Context) error {
	dir := t.outputDir()
	if dir == "" || t.gang != nil && t.gang.now().Node != 0 { // a gang's output is its first node's
		t.record(func(end *job.AttemptEnd) { end.Committed = true })
		return nil
	}
	info, err := os.Stat(dir)
	if err == nil && !info.IsDir() {
		err = syscall.ENOTDIR
	}
	if err != nil {
		return outputFault(fmt.Errorf("the output %s cannot be read: %w", t.job.Execution.Output.Path, err))
	}
	var result checkpointing.SaveResult
	defer t.agent.courier.hold()()
	err = untilServed(ctx, commitPatience, func() (err error) {
		result, err = t.agent.engine.Save(ctx, dir, checkpointing.SaveOptions{
			Key:            store.OutputKey(t.agent.config.Run, t.id),
			ID:             checkpointing.ID{Attempt: t.id.Attempt, Sequence: 1},
			BytesPerSecond: t.agent.uploadLimit,
		})
		return err
	})
	var ofBucket *bucket.Error
	switch {
	case err == nil:
	case errors.As(err, &ofBucket), ctx.Err() != nil, isFull(err),
		errors.Is(err, &checkpointing.Error{Code: checkpointing.CodeConflict}):
		return fmt.Errorf("committing the output %s: %w", t.job.Execution.Output.Path, err)
	default:
		return outputFault(fmt.Errorf("the output %s cannot be read: %w", t.job.Execution.Output.Path, err))
	}
	t.agent.bandwidth.saved(result)
	t.record(func(end *job.AttemptEnd) {
		end.Committed = true
		end.Output = store.ManifestRef(result.Ref)
	})
	return nil
}
