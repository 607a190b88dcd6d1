package store

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/spotrelay/spotrelay/checkpointing/bucket"
	"github.com/spotrelay/spotrelay/runner/plan"
)

const (
	// compressFrom is the size in bytes from which an entry is compressed; a
	// smaller one stays readable by eye.
	compressFrom = 16 << 10
	// readers is how many journal entries are fetched at once.
	readers = 16
)

// Entry is one object of a run's journal: all that a tick decided.
type Entry struct {
	Version int    `json:"version"`
	Seq     int64  `json:"seq"`   // from 1, without gaps
	Epoch   int64  `json:"epoch"` // of the lease it was written under
	Nonce   string `json:"nonce"` // the writer's mark on this entry
	// Now is the run's time when it was decided.
	Now    plan.Time    `json:"now"`
	Holder Holder       `json:"holder"`
	Events []plan.Event `json:"events,omitempty"`
	// Gap is, in the first entry of a tenure, how long ago by the store's own
	// time the entry before it was written: time that no controller lived, or
	// that it did not journal.
	Gap time.Duration `json:"gap,omitempty"`
	// Requests are the keys of those that this tick took up, so that none is
	// taken up twice.
	Requests []string `json:"requests,omitempty"`
}

// EncodeEntry is an entry as it stands in the bucket.
func EncodeEntry(entry Entry) ([]byte, error) {
	data, err := encode(entry)
	if err == nil && len(data) >= compressFrom {
		data = compress(data)
	}
	return data, err
}

// DecodeEntry reads an entry; key is for the error. Errors: ErrVersion,
// ErrCorrupt.
func DecodeEntry(key string, data []byte) (Entry, error) {
	plain, err := decompress(key, data)
	if err != nil {
		return Entry{}, err
	}
	entry, err := decode[Entry](key, plain)
	if err == nil && (entry.Seq < 1 || entry.Epoch < 1 || entry.Now < 0 || entry.Gap < 0) {
		err = corrupt(key, "it has sequence %d, epoch %d, time %s", entry.Seq, entry.Epoch, entry.Now)
	}
	return entry, err
}

// ReadEntry reads one entry. Errors: bucket.ErrNotFound, ErrVersion,
// ErrCorrupt. May be repeated.
func ReadEntry(ctx context.Context, b bucket.Bucket, run string, seq int64) (Entry, error) {
	return readEntry(ctx, b, JournalKey(run, seq), seq)
}

func readEntry(ctx context.Context, b bucket.Bucket, key string, seq int64) (Entry, error) {
	data, _, err := readObject(ctx, b, key)
	if err != nil {
		return Entry{}, err
	}
	entry, err := DecodeEntry(key, data)
	if err == nil && entry.Seq != seq {
		err = corrupt(key, "it says that it is entry %d", entry.Seq)
	}
	return entry, err
}

// ReadJournal yields the entries after a sequence number, in order. A gap is
// ErrCorrupt. The sequence ends after its first error. May be repeated.
func ReadJournal(ctx context.Context, b bucket.Bucket, run string, after int64) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		var batch []string
		next := after + 1
		flush := func() bool {
			entries, err := readBatch(ctx, b, batch, next)
			batch = batch[:0]
			for _, entry := range entries {
				if !yield(entry, nil) {
					return false
				}
				next++
			}
			if err != nil {
				yield(Entry{}, err)
			}
			return err == nil
		}
		for object, err := range b.List(ctx, JournalPrefix(run), JournalKey(run, after)) {
			if err == nil {
				err = checkSequence(run, object.Key, next+int64(len(batch)))
			}
			if err != nil {
				if flush() {
					yield(Entry{}, err)
				}
				return
			}
			if batch = append(batch, object.Key); len(batch) == readers && !flush() {
				return
			}
		}
		if len(batch) > 0 {
			flush()
		}
	}
}

// readBatch fetches entries at once; with an error, those before the first
// that could not be read.
func readBatch(ctx context.Context, b bucket.Bucket, keys []string, first int64) ([]Entry, error) {
	entries := make([]Entry, len(keys))
	errs := make([]error, len(keys))
	var group sync.WaitGroup
	for i, key := range keys {
		group.Go(func() {
			entries[i], errs[i] = readEntry(ctx, b, key, first+int64(i))
		})
	}
	group.Wait()
	for i, err := range errs {
		if err != nil {
			return entries[:i], err
		}
	}
	return entries, nil
}

func checkSequence(run, key string, want int64) error {
	seq, err := strconv.ParseInt(strings.TrimPrefix(key, JournalPrefix(run)), 10, 64)
	if err != nil || JournalKey(run, seq) != key {
		return corrupt(key, "it is not the name of an entry")
	}
	if seq != want {
		return corrupt(key, "the journal has a gap: entry %d is missing before %d", want, seq)
	}
	return nil
}

// EntryWritten is the store's own time of an entry's writing. Errors:
// bucket.ErrNotFound. May be repeated.
func EntryWritten(ctx context.Context, b bucket.Bucket, run string, seq int64) (time.Time, error) {
	body, object, err := b.Get(ctx, JournalKey(run, seq), 0, 1)
	if err != nil {
		return time.Time{}, err
	}
	return object.Modified, body.Close()
}

// Snapshot is the folded state of a run up to and with entry Seq.
type Snapshot struct {
	Version int             `json:"version"`
	Seq     int64           `json:"seq"`
	Epoch   int64           `json:"epoch"`
	Now     plan.Time       `json:"now"`
	Taken   []string        `json:"taken,omitempty"` // requests, see Position
	Gaps    []Gap           `json:"gaps,omitempty"`
	State   json.RawMessage `json:"state"`
	Written time.Time       `json:"written"` // for people
}

// EncodeSnapshot is a snapshot as it stands in the bucket.
func EncodeSnapshot(snapshot Snapshot) ([]byte, error) {
	data, err := encode(snapshot)
	if err != nil {
		return nil, err
	}
	return compress(data), nil
}

// DecodeSnapshot reads a snapshot; key is for the error. Errors: ErrVersion,
// ErrCorrupt.
func DecodeSnapshot(key string, data []byte) (Snapshot, error) {
	plain, err := decompress(key, data)
	if err != nil {
		return Snapshot{}, err
	}
	snapshot, err := decode[Snapshot](key, plain)
	if err == nil && (snapshot.Seq < 1 || len(snapshot.State) == 0) {
		err = corrupt(key, "it has sequence %d and %d bytes of state", snapshot.Seq, len(snapshot.State))
	}
	return snapshot, err
}

func (e Entry) String() string {
	return fmt.Sprintf("entry %d of epoch %d (%d events)", e.Seq, e.Epoch, len(e.Events))
}
