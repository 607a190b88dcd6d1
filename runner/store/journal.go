package store

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/spotrelay/spotrelay/checkpointing/bucket"
	"github.com/spotrelay/spotrelay/runner/job"
)

const (
	appendRetryFirst = 50 * time.Millisecond
	appendRetryMax   = 5 * time.Second
)

// Journal appends to a run's journal. It is for one goroutine.
type Journal struct {
	b      bucket.Bucket
	run    string
	epoch  int64
	holder Holder
	last   int64 // known; after it the next is written
}

// OpenJournal is a journal whose last entry is known to be at position, to be
// written under a lease's epoch. It does no I/O.
func OpenJournal(b bucket.Bucket, run string, at Position, epoch int64, holder Holder) *Journal {
	return &Journal{b: b, run: run, epoch: epoch, holder: holder, last: at.Seq}
}

// Last is the sequence number of the last entry it knows.
func (j *Journal) Last() int64 { return j.last }

// Moved says that others' entries up to a position were read: a claim that lost
// to a late entry of an older epoch goes on after it.
func (j *Journal) Moved(at Position) { j.last = at.Seq }

// Append writes the next entry: one object for all that a tick decided (Now,
// Events and so on; what marks it as the journal's is filled in). It is
// created only if nobody wrote that entry before. After a refusal or a lost
// answer the entry is read back and its nonce compared, so that its own is
// never taken for another's; what may pass is tried again until ctx ends.
//
// Errors: ErrLost when another writer's entry is there: the caller must stop
// before it acts. Any other error leaves open whether the entry is there or
// will be; the caller must not go on as if it were, or were not.
func (j *Journal) Append(ctx context.Context, entry Entry) (Entry, error) {
	entry.Version, entry.Seq, entry.Epoch = job.SpecVersion, j.last+1, j.epoch
	entry.Nonce, entry.Holder = rand.Text(), j.holder
	data, err := EncodeEntry(entry)
	if err != nil {
		return Entry{}, err
	}
	key := JournalKey(j.run, entry.Seq)
	for delay := appendRetryFirst; ; delay = min(2*delay, appendRetryMax) {
		_, err := writeObject(ctx, j.b, key, data, bucket.IfAbsent())
		if err != nil {
			err = j.settle(ctx, entry, err)
		}
		if err == nil {
			j.last = entry.Seq
			return entry, nil
		}
		if !mayPass(err) {
			return Entry{}, err
		}
		if wait(ctx, delay) != nil {
			return Entry{}, err
		}
	}
}

// settle reads back what is at an entry's key after a put failed: nil when it
// is ours.
func (j *Journal) settle(ctx context.Context, entry Entry, putErr error) error {
	found, err := ReadEntry(ctx, j.b, j.run, entry.Seq)
	switch {
	case err == nil && found.Nonce == entry.Nonce:
		return nil
	case err == nil:
		return &Error{
			Code: CodeLost, Op: "append", Key: JournalKey(j.run, entry.Seq),
			Err:  fmt.Errorf("it is there, of epoch %d by %s (process %d on %s)", found.Epoch, found.Holder.Name, found.Holder.PID, found.Holder.Host),
			Hint: "another controller has taken the run over; this one stops",
		}
	case isCorruptOrUnknown(err):
		return err // somebody's, and not ours
	case errors.Is(putErr, bucket.ErrConflict):
		// Refused, and not to be read for now: tried again.
		return &bucket.Error{Code: bucket.CodeUnavailable, Op: "put", Key: JournalKey(j.run, entry.Seq), Err: putErr}
	}
	return putErr
}

// mayPass: a full disk may be cleared, an unavailable store may come back.
func mayPass(err error) bool {
	return errors.Is(err, bucket.ErrUnavailable) || errors.Is(err, bucket.ErrFull)
}
