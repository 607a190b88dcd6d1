// Package checkpointing saves a directory into a bucket as content-addressed
// chunks, gathered into packs, and one manifest, and restores it, whole or not
// at all.
//
// The order of writes is the promise: packs first, the manifest last, so a
// reader finds a whole checkpoint or none; deletion goes the other way. A
// manifest's name carries the attempt's number and a sequence, so that a stale
// writer can never replace what a later attempt saved. The same form serves
// outputs and the workdir, which are manifests under keys of their own.
//
// # What is kept
//
// Regular files with permission bits, modification times and holes;
// directories, empty ones too; symbolic links, as links. Owners, setuid bits,
// extended attributes and hard links between files are not kept. Sockets,
// FIFOs and devices are skipped and named in the result.
//
// A link is kept when it is relative and stays inside, with ".." only at its
// beginning. An absolute link into the saved directory is kept as the relative
// one that means the same, since the directory may lie elsewhere at the next
// attempt. Any other is skipped and named. Restore refuses what Save would not
// have written.
//
// # What a save sees
//
// The directory may be in use. It is scanned, what changed since it was read
// is read (all of it, the first time), and it is scanned again, until a scan
// finds everything as it was read. That scan is the checkpoint. A file that is
// replaced by rename, as careful programs do, settles at once; one that is
// written without end is named in an error with CodeUnsettled.
//
// An engine remembers size, times, inode and device of what it saved or
// restored, and does not read again what agrees with that; a new one finds them
// in the base's manifest, as long as the machine is not started anew. It never looks at a
// file sooner than a tick of the clock after its last change, so that a later
// one shows. What does not show is a store through a memory map that is not
// followed by msync: SaveOptions.Rehash reads everything.
//
// # How a save works
//
// The scan's files are cut into jobs. A few readers take them, each with a
// buffer of the size of a pack: they read into it, hash, look up what the
// bucket has, pack what compresses, and leave the rest. The sequence takes the
// buffers in the order of their jobs, leaves out what came before, gathers what
// is little, and names the packs; so a save that is repeated makes the same
// packs and finds what it sent. Lanes send them, as many at once as make it
// faster, and double a transfer that takes much longer than usual. All memory
// is a fixed number of buffers. Ahead does the same without a manifest.
//
// A restore reads packs by ranges, each in a stream: a chunk is read, verified
// and written before the next one is read.
//
// # Choosing what to restore
//
// RestoreNewest takes the newest whole checkpoint of a series, names the
// damaged ones it passed over, and never mistakes a series whose checkpoints
// are all damaged for an empty one.
//
// The stored form is described in FORMAT.md.
package checkpointing
