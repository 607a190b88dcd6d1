package archive

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/klauspost/compress/zstd"
	"golang.org/x/sync/errgroup"

	"github.com/spotrelay/spotrelay/checkpointing/bucket"
	"github.com/spotrelay/spotrelay/runner/job"
	"github.com/spotrelay/spotrelay/runner/store"
)

// ImportOptions says where to.
type ImportOptions struct {
	Bucket   bucket.Bucket
	Progress func(Progress) // may be nil; called from one goroutine
}

// Imported is a run that was imported.
type Imported struct {
	Header
	// Written is how many objects were not there yet.
	Written int
}

// Import writes the run of an archive into a bucket, which is identified first.
// Errors: ErrDamaged, ErrVersion, ErrExists, and the bucket's; none of them
// leaves a run that is not whole. May be repeated.
func Import(ctx context.Context, opts ImportOptions, from io.Reader) (Imported, error) {
	if _, err := bucket.Identify(ctx, opts.Bucket); err != nil {
		return Imported{}, err
	}
	packed, err := zstd.NewReader(from, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(64<<20))
	if err != nil {
		return Imported{}, err
	}
	defer packed.Close()
	i := importing{opts: opts, tar: tar.NewReader(packed), stream: packed, seen: map[string]bool{}}
	err = i.all(ctx)
	return Imported{Header: i.header, Written: i.written}, err
}

// importing is one import.
type importing struct {
	opts    ImportOptions
	tar     *tar.Reader
	stream  io.Reader
	header  Header
	spec    []byte
	entries []Entry
	seen    map[string]bool
	done    Progress
	written int
}

func (i *importing) all(ctx context.Context) error {
	if err := i.readHeader(ctx); err != nil {
		return err
	}
	listed, err := i.objects(ctx)
	if err != nil {
		return err
	}
	if !slices.Equal(listed, i.entries) || i.spec == nil {
		return damaged(indexName, "it lists other objects than the archive holds")
	}
	if _, err := i.tar.Next(); !errors.Is(err, io.EOF) {
		return damaged(indexName, "something follows the end (%v)", err)
	}
	if _, err := io.Copy(io.Discard, io.LimitReader(i.stream, 1<<20)); err != nil {
		return damaged("the archive", "its end: %w", err)
	}
	return i.commit(ctx)
}

// next is the next entry, whole: its bytes are those of its digest.
func (i *importing) next() (Entry, *spool, error) {
	head, err := i.tar.Next()
	if err != nil {
		return Entry{}, nil, damaged("the archive", "after %d objects: %w", len(i.entries), unexpected(err))
	}
	entry := Entry{Key: head.Name, Size: head.Size, SHA256: head.PAXRecords[digestRecord]}
	if head.Typeflag != tar.TypeReg || len(entry.SHA256) != 64 {
		return Entry{}, nil, damaged(fmt.Sprintf("%q", head.Name), "it is no object with a digest")
	}
	body, err := take(i.tar)
	if err == nil && (body.digest() != entry.SHA256 || body.size != entry.Size) {
		err = errors.New("its bytes are not those of its digest")
	}
	if err != nil {
		body.close()
		return Entry{}, nil, damaged(fmt.Sprintf("%q", head.Name), "%w", unexpected(err))
	}
	return entry, body, nil
}

// unexpected is an end that comes too early, as such.
func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// decode reads one of the archive's own documents.
func decode(entry Entry, body *spool, document any) error {
	data, err := whole(entry, body)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(data, document); err != nil {
		return damaged(entry.Key, "%w", err)
	}
	return nil
}

func whole(entry Entry, body *spool) ([]byte, error) {
	if entry.Size > mostDocument {
		return nil, damaged(entry.Key, "it has %d bytes, more than any document", entry.Size)
	}
	reader, err := body.reader()
	if err != nil {
		return nil, err
	}
	return io.ReadAll(reader)
}

func (i *importing) readHeader(ctx context.Context) error {
	entry, body, err := i.next()
	if err != nil {
		return err
	}
	defer body.close()
	if entry.Key != headerName {
		return damaged("the archive", "it does not begin as an exported run does")
	}
	if err := decode(entry, body, &i.header); err != nil {
		return err
	}
	switch {
	case i.header.Version > formatVersion:
		return &Error{Code: CodeVersion, Op: "import", What: "the archive", Err: fmt.Errorf("it has format %d, and this program knows %d", i.header.Version, formatVersion),
			Hint: "use a version of spotrelay that is not older than the one that wrote it"}
	case i.header.Version != formatVersion || !job.ValidRunID(i.header.Run):
		return damaged(headerName, "it names no run")
	}
	i.done.ObjectsTotal, i.done.BytesTotal = i.header.Objects, i.header.Bytes
	there, err := i.digestOf(ctx, store.SpecKey(i.header.Run))
	if err == nil && there != "" && there != i.header.Spec {
		err = i.exists(store.SpecKey(i.header.Run))
	}
	return err
}

// objects writes what the archive holds, and gives what its index lists.
func (i *importing) objects(ctx context.Context) ([]Entry, error) {
	writers, inner := errgroup.WithContext(ctx)
	writers.SetLimit(ahead)
	written := make(chan bool, 1)
	counted := make(chan int)
	go func() {
		n := 0
		for range written {
			n++
		}
		counted <- n
	}()
	listed, err := i.readObjects(inner, func(entry Entry, body *spool) {
		writers.Go(func() error {
			defer body.close()
			wrote, err := i.put(inner, entry, body)
			if wrote {
				written <- true
			}
			return err
		})
	})
	err = errors.Join(writers.Wait(), err)
	close(written)
	i.written = <-counted
	return listed, err
}

func (i *importing) readObjects(ctx context.Context, write func(Entry, *spool)) ([]Entry, error) {
	for {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		entry, body, err := i.next()
		if err != nil {
			return nil, err
		}
		if entry.Key == indexName {
			defer body.close()
			var list index
			return list.Entries, decode(entry, body, &list)
		}
		if !allowed(i.header.Run, entry.Key) || i.seen[entry.Key] {
			body.close()
			return nil, damaged(fmt.Sprintf("%q", entry.Key), "an archive of run %s cannot hold it, or holds it twice", i.header.Run)
		}
		i.seen[entry.Key] = true
		i.entries = append(i.entries, entry)
		i.done.Objects++
		i.done.Bytes += entry.Size
		if i.opts.Progress != nil {
			i.opts.Progress(i.done)
		}
		if entry.Key != store.SpecKey(i.header.Run) {
			write(entry, body)
			continue
		}
		i.spec, err = whole(entry, body)
		body.close()
		if err != nil {
			return nil, err
		}
	}
}

// put writes an object where none is. One that is there must be the same; of a
// pack the size tells, since its name says which chunks it holds.
func (i *importing) put(ctx context.Context, entry Entry, body *spool) (wrote bool, err error) {
	reader, err := body.reader()
	if err != nil {
		return false, err
	}
	_, err = i.opts.Bucket.Put(ctx, entry.Key, reader, bucket.IfAbsent())
	if err == nil {
		return true, nil
	}
	if !errors.Is(err, bucket.ErrConflict) && !errors.Is(err, bucket.ErrUnavailable) {
		return false, err
	}
	if strings.HasPrefix(entry.Key, dataPrefix) {
		return false, i.samePack(ctx, entry, err)
	}
	there, readErr := i.digestOf(ctx, entry.Key)
	switch {
	case readErr != nil || there == "":
		return false, err
	case there != entry.SHA256:
		return false, i.exists(entry.Key)
	}
	return false, nil
}

func (i *importing) samePack(ctx context.Context, entry Entry, conflict error) error {
	body, there, err := i.opts.Bucket.Get(ctx, entry.Key, 0, 1)
	if err != nil {
		return errors.Join(conflict, err)
	}
	if there.Size != entry.Size {
		err = i.exists(entry.Key)
	}
	return errors.Join(err, body.Close())
}

// digestOf is the SHA-256 of an object, "" when there is none.
func (i *importing) digestOf(ctx context.Context, key string) (string, error) {
	body, _, err := i.opts.Bucket.Get(ctx, key, 0, -1)
	if errors.Is(err, bucket.ErrNotFound) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	defer body.Close()
	there, err := take(body)
	defer there.close()
	if err != nil {
		return "", err
	}
	return there.digest(), nil
}

func (i *importing) exists(key string) error {
	return &Error{Code: CodeExists, Op: "import", What: key, Err: errors.New("the bucket has something else there"),
		Hint: "import it into another bucket"}
}

// commit makes it a run.
func (i *importing) commit(ctx context.Context) error {
	spec, err := store.DecodeSpec(i.header.Run, i.spec)
	if err != nil {
		return damaged(store.SpecKey(i.header.Run), "%w", err)
	}
	last := i.entries[len(i.entries)-1]
	if last.SHA256 != i.header.Spec || spec.Job != i.header.Job {
		return damaged(headerName, "it is that of another run")
	}
	body, err := take(bytes.NewReader(i.spec))
	if err != nil {
		return err
	}
	defer body.close()
	wrote, err := i.put(ctx, last, body)
	if wrote {
		i.written++
	}
	return err
}
