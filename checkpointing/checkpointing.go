package checkpointing

import (
	"context"
	"io/fs"
	"iter"
	"time"

	"github.com/spotrelay/spotrelay/checkpointing/bucket"
)

// ID names a checkpoint among those of one series. A higher attempt wins, then
// a higher sequence.
type ID struct {
	Attempt  int   `json:"attempt"`
	Sequence int64 `json:"sequence"`
}

// Less orders IDs by attempt, then by sequence.
func (id ID) Less(other ID) bool {
	if id.Attempt != other.Attempt {
		return id.Attempt < other.Attempt
	}
	return id.Sequence < other.Sequence
}

// Ref points at a committed manifest.
type Ref struct {
	Key     string    `json:"key"` // of the manifest in the bucket
	ID      ID        `json:"id"`
	Digest  string    `json:"digest"`            // BLAKE3 of the manifest's bytes, hex; what it restores is verified against it
	Content string    `json:"content,omitempty"` // digest of names and bytes alone, the same for every save of the same content; "" for an empty directory
	Bytes   int64     `json:"bytes"`             // of all its files
	Files   int       `json:"files"`             //
	SavedAt time.Time `json:"saved_at"`          // by the saver's clock, for people
	Parent  string    `json:"parent,omitempty"`  // key of the checkpoint that it went on from; "" if it began anew
}

// SaveOptions says what to save, and where to.
type SaveOptions struct {
	// Key is the manifest's key. That of a checkpoint ends in ManifestName(ID).
	Key string
	// ID and Parent are recorded in the manifest.
	ID     ID
	Parent *Ref
	// Base is a manifest whose chunks are known to be there and pinned;
	// unchanged data is shared with it and not sent again.
	Base *Ref
	// Keep decides which entries are saved, by slash path below the
	// directory; nil keeps all. A directory that is not kept is not entered.
	Keep func(path string, entry fs.DirEntry) bool
	// BytesPerSecond bounds the sending; 0 is unbounded.
	BytesPerSecond int64
	// Rehash reads every file. Otherwise one is taken for unchanged when its
	// size, times, inode and device are those that this engine saw when it
	// saved or restored it last. A program that writes through a memory map
	// without msync changes a file without a sign of it.
	Rehash bool
	// Urgent sends no more than it must. Otherwise a save packs anew what
	// little is left in old packs, so that a restore reads few of them: up to
	// 8 MiB or a sixteenth of the whole, which is better done ahead.
	Urgent bool
	// Progress is called now and then, from one goroutine; may be nil.
	Progress func(Progress)
}

// Progress is how far a save or a restore has come.
type Progress struct {
	Stage      Stage
	BytesDone  int64 // of the files' content, sent or fetched so far
	BytesTotal int64 // of the files' content, known so far
	// BytesShared is what need not be sent since the bucket has it, or since
	// it is a hole. What remains is BytesTotal - BytesDone - BytesShared.
	BytesShared int64
	Files       int
}

// Stage is the part of its work that a save or restore is at.
type Stage string

const (
	StageScanning   Stage = "scanning"
	StageSending    Stage = "sending"
	StageCommitting Stage = "committing"
	StageCommitted  Stage = "committed"
	StageFetching   Stage = "fetching"
	StageRestored   Stage = "restored"
)

// SaveResult is a committed checkpoint with what it cost.
type SaveResult struct {
	Ref       Ref
	BytesSent int64         // packs that were not there yet, as stored
	BytesRead int64         // of files that had changed or were not known
	Packs     int           // that were sent or found to be there
	Elapsed   time.Duration // from the call to the commit
	// Skipped names what a checkpoint cannot hold, with the reason: sockets,
	// FIFOs, devices, and links that lead out of the directory.
	Skipped []string
}

// RestoreOptions says how to restore.
type RestoreOptions struct {
	// Only restores the files whose paths match one of these patterns, as
	// doublestar has them: * and ? within a name, ** over any number of
	// directories, {a,b}, [a-z]. A directory that matches takes along what is
	// in it. The restored directory then holds these files and nothing else.
	// Empty is all; patterns that match nothing are CodeInvalid.
	Only []string
	// Reuse takes over what is already in the directory and right, by its
	// content, or by its size, times and inode where this engine saved or
	// restored it. It is for directories that nothing writes to meanwhile.
	Reuse          bool
	BytesPerSecond int64
	Progress       func(Progress)
}

// Engine saves and restores. It may be used from several goroutines; two saves
// of one key are the caller's fault and answered with bucket.CodeConflict.
type Engine interface {
	// Save commits dir as a checkpoint. The manifest is created only if no
	// object has its key. A file that changes while it is read is read again;
	// one that never comes to rest is an *Error with CodeUnsettled. Nothing is
	// committed when ctx ends first. May be repeated with the same ID after an
	// error: it finds what it had sent.
	Save(ctx context.Context, dir string, opts SaveOptions) (SaveResult, error)

	// Ahead sends what has changed in files that have come to rest, and commits
	// nothing: a Save of the same directory by the same engine then has only
	// the rest to read and send. Unless a collection has run in between; then
	// the Save sends all of it. To save at once, end its context first: what
	// it has sent by then counts. Errors as of Save. May be repeated, and
	// costs a look at the directory when nothing has changed.
	Ahead(ctx context.Context, dir string, opts AheadOptions) (AheadResult, error)

	// Estimate tells what an urgent Save of dir would have to do, from a look at the
	// directory alone; nothing is read or sent, except the base's manifest
	// when this engine has not seen it.
	Estimate(ctx context.Context, dir string, opts EstimateOptions) (Estimate, error)

	// Restore makes dir hold exactly what ref says, each chunk verified. It
	// writes beside dir under a temporary name and renames at the end, so dir
	// is as before or whole. Nothing outside dir is written, whatever the
	// manifest says. Errors: *Error with CodeCorrupt (names the chunk or
	// manifest), CodeMissing, CodeUnsafe. May be repeated.
	Restore(ctx context.Context, ref Ref, dir string, opts RestoreOptions) error

	// List is the committed checkpoints below prefix (keys that end in a ManifestName),
	// newest last. It reads names, not manifests: Digest, Bytes and Files are
	// zero until Inspect.
	List(ctx context.Context, prefix string) ([]Ref, error)

	// Inspect reads a manifest and checks it; ref needs only its Key, and a
	// Digest that is set must agree. The Ref that it gives is whole. Errors as
	// of Restore.
	Inspect(ctx context.Context, ref Ref) (Ref, []Entry, error)

	// Verify reads all that a checkpoint names and compares it with its
	// digests. What is damaged or missing is in the result, an *Error for each
	// object; the error is about what could not be found out.
	Verify(ctx context.Context, ref Ref, opts VerifyOptions) (VerifyResult, error)

	// Prune deletes checkpoints below a prefix that Keep does not keep. It
	// frees their manifests alone: what only they had in packs goes with the
	// next Collect, which counts it, since other series may share it. May be
	// repeated.
	Prune(ctx context.Context, opts PruneOptions) (PruneResult, error)

	// Collect deletes packs that no root names. It marks, waits grace (which must be longer than any save may last), lists
	// the roots again and then deletes; ages are the store's own times.
	Collect(ctx context.Context, opts CollectOptions) (CollectResult, error)
}

// AheadOptions says what to send ahead of a Save; see SaveOptions.
type AheadOptions struct {
	Base *Ref
	Keep func(path string, entry fs.DirEntry) bool
	// Rest is how long a file must not have changed; 0 is two seconds.
	Rest time.Duration
	// BytesPerSecond bounds the sending and ReadPerSecond the reading, which
	// takes a processor for a quarter to a half second a GiB; 0 is unbounded.
	// One file is read at a time.
	BytesPerSecond int64
	ReadPerSecond  int64
	// Reader is called by the goroutine that reads and hashes, before it does;
	// it may lock that to its thread and lower the thread's priority. May be nil.
	Reader   func()
	Progress func(Progress)
}

// AheadResult is what was sent ahead.
type AheadResult struct {
	BytesSent     int64 // as stored
	BytesRead     int64
	Files         int   // that had changed and were at rest
	Restless      int   // files that had changed too lately
	BytesRestless int64 // of those files
	Elapsed       time.Duration
}

// EstimateOptions says what a Save would be given; see SaveOptions.
type EstimateOptions struct {
	Base *Ref
	Keep func(path string, entry fs.DirEntry) bool
}

// Estimate is what a Save would have to do.
type Estimate struct {
	Files        int   `json:"files"`
	Bytes        int64 `json:"bytes"`
	FilesChanged int   `json:"files_changed"` // that have to be read
	BytesChanged int64 `json:"bytes_changed"` // of those files: the most that is sent
	// BytesLikely is what is sent if as large a part of each file has changed
	// as when it was saved last.
	BytesLikely int64 `json:"bytes_likely"`
}

// VerifyOptions bounds a verification.
type VerifyOptions struct {
	BytesPerSecond int64
	Progress       func(Progress)
}

// VerifyResult is what a verification found.
type VerifyResult struct {
	Ref     Ref     `json:"ref"`
	Packs   int     `json:"packs"`
	Chunks  int     `json:"chunks"` // that are whole
	Damaged []error `json:"-"`      // by the names of what is damaged
}

// Retention says which checkpoints of a series are kept: the newest ones, and
// of each period of the store's time the newest one.
type Retention struct {
	Last  int           // at least one is kept
	Every time.Duration // 0: none for that
}

// PruneOptions says which checkpoints to delete.
type PruneOptions struct {
	Prefix string // of a series
	Keep   Retention
	// Pinned are keys that are kept whatever Keep says: bases of saves under
	// way, and what attempts restore from.
	Pinned []string
	DryRun bool
}

// PruneResult is what was deleted, or would be, and what was not; the newest
// last.
type PruneResult struct {
	Kept    []Ref `json:"kept"`
	Removed []Ref `json:"removed"`
}

// Entry is one file of a manifest, for listings.
type Entry struct {
	Path string      `json:"path"`
	Mode fs.FileMode `json:"mode"`
	Size int64       `json:"size"`
	Link string      `json:"link,omitempty"`
}

// CollectOptions bounds a collection.
type CollectOptions struct {
	// Roots yields the key of every manifest that is to live: checkpoints,
	// outputs, cache entries, workdirs, inputs. It is called twice, before and
	// after the grace; an error stops the collection before it deletes.
	Roots func(ctx context.Context) iter.Seq2[string, error]
	Grace time.Duration
	// DryRun deletes no pack and does not wait; Removed and BytesRemoved tell
	// what would go.
	DryRun bool
}

// CollectResult is what a collection found and removed.
type CollectResult struct {
	Manifests    int   `json:"manifests"`
	Chunks       int   `json:"chunks"`  // packs that are there
	Removed      int   `json:"removed"` // packs
	BytesRemoved int64 `json:"bytes_removed"`
}

// Open makes an engine on a bucket. Manifests may lie anywhere in it; packs of
// chunks lie under data/. An engine remembers what it saved and restored, so a
// program does well to keep one; it holds up to 170 MB while it works, and
// next to nothing in between.
func Open(b bucket.Bucket) Engine { return newEngine(b) }
