package archive

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/spotrelay/spotrelay/checkpointing"
	"github.com/spotrelay/spotrelay/checkpointing/bucket"
	"github.com/spotrelay/spotrelay/runner/job"
	"github.com/spotrelay/spotrelay/runner/store"
)

// ahead is how many objects are fetched, or written, at once.
const ahead = 8

// ExportOptions says what to export.
type ExportOptions struct {
	Bucket bucket.Bucket
	Run    string
	// Agents takes the agent programs along. Without them the run can be looked
	// at, and is submitted again with those that are at hand.
	Agents   bool
	Progress func(Progress) // may be nil; called from one goroutine
	// Passed is told which checkpoints are damaged and are left out with what
	// they name; may be nil.
	Passed func(key string, err error)
}

// Export writes a run that is over to a stream. Errors: ErrLive, the bucket's,
// checkpointing's for a manifest that cannot be read and is no checkpoint's, and
// the stream's. May be repeated, and writes the same.
func Export(ctx context.Context, opts ExportOptions, to io.Writer) (Header, error) {
	state, _, err := store.LoadRun(ctx, opts.Bucket, opts.Run)
	if err != nil {
		return Header{}, err
	}
	if !state.Finished() {
		return Header{}, &Error{Code: CodeLive, Op: "export", What: "run " + opts.Run, Err: errors.New("it is not over"),
			Hint: "see it to its end by spotrelay attach, or end it by spotrelay cancel"}
	}
	e := exporting{opts: opts, spec: state.Spec}
	if err := e.gather(ctx); err != nil {
		return Header{}, err
	}
	packed, err := zstd.NewWriter(to, zstd.WithEncoderCRC(true), zstd.WithEncoderConcurrency(1))
	if err != nil {
		return Header{}, err
	}
	e.tar = tar.NewWriter(packed)
	if err := e.write(ctx); err != nil {
		_ = packed.Close() // what is there is of no use
		return Header{}, err
	}
	return e.header, errors.Join(e.tar.Close(), packed.Close())
}

// exporting is one export.
type exporting struct {
	opts    ExportOptions
	spec    *job.Spec
	objects []bucket.Object // in the order of the archive
	header  Header
	tar     *tar.Writer
	index   index
	done    Progress
}

// gather finds all objects of the run and what its manifests name.
func (e *exporting) gather(ctx context.Context) error {
	run := e.opts.Run
	packs := map[string]int64{}
	var spec bucket.Object
	for object, err := range e.opts.Bucket.List(ctx, store.RunPrefix(run), "") {
		switch {
		case err != nil:
			return err
		case object.Key == store.SpecKey(run):
			spec = object
			continue
		case !allowed(run, object.Key):
			continue
		}
		if store.IsManifest(run, object.Key) {
			whole, err := e.packsOf(ctx, object.Key, packs)
			if err != nil {
				return err
			}
			if !whole {
				continue
			}
		}
		e.objects = append(e.objects, object)
	}
	for _, key := range slices.Sorted(maps.Keys(packs)) {
		e.objects = append(e.objects, bucket.Object{Key: key, Size: packs[key]})
	}
	if e.opts.Agents {
		sizes := map[string]int64{}
		for _, program := range e.spec.Agent {
			sizes[program.Key] = program.Bytes
		}
		for _, key := range slices.Sorted(maps.Keys(programsOf(e.spec))) {
			e.objects = append(e.objects, bucket.Object{Key: key, Size: sizes[key]})
		}
	}
	e.objects = append(e.objects, spec)
	return nil
}

// packsOf adds what a manifest names. A checkpoint that is damaged is left out.
func (e *exporting) packsOf(ctx context.Context, key string, packs map[string]int64) (whole bool, err error) {
	named, err := checkpointing.Packs(ctx, e.opts.Bucket, checkpointing.Ref{Key: key})
	if err == nil {
		_, err = checkpointing.Whole(ctx, checkpointing.Open(e.opts.Bucket), checkpointing.Ref{Key: key})
	}
	var fault *checkpointing.Error
	if _, _, _, _, checkpoint := store.SeriesOf(e.opts.Run, key); checkpoint && errors.As(err, &fault) {
		if e.opts.Passed != nil {
			e.opts.Passed(key, err)
		}
		return false, nil
	}
	if err != nil {
		return false, err
	}
	maps.Copy(packs, named)
	return true, nil
}

// fetched is an object that was asked for.
type fetched struct {
	spool *spool
	err   error
}

func (e *exporting) write(ctx context.Context) error {
	specification, err := e.fetch(ctx, store.SpecKey(e.opts.Run))
	if err != nil {
		return err
	}
	defer specification.close()
	e.header = Header{Version: formatVersion, Run: e.opts.Run, Job: e.spec.Job, Spec: specification.digest(), Objects: len(e.objects)}
	for i := range e.objects {
		e.header.Bytes += e.objects[i].Size
	}
	e.done.ObjectsTotal, e.done.BytesTotal = e.header.Objects, e.header.Bytes
	if err := e.document(headerName, e.header); err != nil {
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	for object := range e.prefetch(ctx) {
		got := <-object.answer
		if got.err == nil {
			got.err = e.add(object.key, got.spool)
		}
		got.spool.close()
		if got.err != nil {
			stop()
			return got.err
		}
	}
	if len(e.index.Entries) != len(e.objects) {
		return ctx.Err() // it was ended
	}
	e.index.Version = formatVersion
	return e.document(indexName, e.index)
}

type asked struct {
	key    string
	answer chan fetched
}

// prefetch asks for the objects in order, some ahead of the one that is
// written.
func (e *exporting) prefetch(ctx context.Context) <-chan asked {
	queue := make(chan asked, ahead)
	go func() {
		defer close(queue)
		for i := range e.objects {
			one := asked{e.objects[i].Key, make(chan fetched, 1)}
			select {
			case queue <- one:
			case <-ctx.Done():
				return
			}
			go func() {
				spool, err := e.fetch(ctx, one.key)
				if ctx.Err() != nil {
					spool.close()
				}
				one.answer <- fetched{spool, err}
			}()
		}
	}()
	return queue
}

func (e *exporting) fetch(ctx context.Context, key string) (*spool, error) {
	body, _, err := e.opts.Bucket.Get(ctx, key, 0, -1)
	if err != nil {
		return nil, err
	}
	defer body.Close()
	return take(body)
}

// add writes an object into the archive.
func (e *exporting) add(key string, object *spool) error {
	body, err := object.reader()
	if err != nil {
		return err
	}
	entry := Entry{Key: key, Size: object.size, SHA256: object.digest()}
	if err := e.entry(entry, body); err != nil {
		return err
	}
	e.index.Entries = append(e.index.Entries, entry)
	e.done.Objects++
	e.done.Bytes += entry.Size
	if e.opts.Progress != nil {
		e.opts.Progress(e.done)
	}
	return nil
}

func (e *exporting) entry(entry Entry, body io.Reader) error {
	err := e.tar.WriteHeader(&tar.Header{
		Typeflag: tar.TypeReg, Name: entry.Key, Size: entry.Size, Mode: 0o644, ModTime: time.Unix(0, 0),
		Format: tar.FormatPAX, PAXRecords: map[string]string{digestRecord: entry.SHA256},
	})
	if err != nil {
		return fmt.Errorf("writing %s: %w", entry.Key, err)
	}
	if _, err := io.Copy(e.tar, body); err != nil {
		return fmt.Errorf("writing %s: %w", entry.Key, err)
	}
	return nil
}

// document writes one of the archive's own.
func (e *exporting) document(name string, document any) error {
	data, err := json.Marshal(document)
	if err != nil {
		return err
	}
	own, err := take(bytes.NewReader(append(data, '\n')))
	if err != nil {
		return err
	}
	defer own.close()
	body, err := own.reader()
	if err != nil {
		return err
	}
	return e.entry(Entry{Key: name, Size: own.size, SHA256: own.digest()}, body)
}
