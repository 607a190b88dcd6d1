package submit

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spotrelay/spotrelay/checkpointing"
	"github.com/spotrelay/spotrelay/checkpointing/bucket"
	"github.com/spotrelay/spotrelay/runner/job"
	"github.com/spotrelay/spotrelay/runner/store"
)

// Input is an input from outside to import.
type Input struct {
	Name string // as in Spec.Inputs
	// Address is an s3:// or gs:// URL, or the path of a folder or file.
	Address string
}

// InputProgress is how far the import of an input has come. Unchanged is told
// once, instead, of one that is as it was imported last.
type InputProgress struct {
	Name      string
	Unchanged bool
	checkpointing.Progress
}

// importInputs imports the inputs into the bucket, under the run's keys.
func importInputs(ctx context.Context, opts Options, spec *job.Spec) error {
	spec.Inputs = slices.Clone(spec.Inputs)
	for i := range spec.Inputs {
		input := &spec.Inputs[i]
		at := slices.IndexFunc(opts.Inputs, func(in Input) bool { return in.Name == input.Name })
		if at < 0 {
			return &Error{Op: "submit", What: "the input " + input.Name, Err: errors.New("nobody says where it is")}
		}
		im := importing{opts: opts, name: input.Name, address: opts.Inputs[at].Address, key: store.InputKey(spec.Run, input.Name)}
		manifest, err := im.run(ctx)
		if err != nil {
			return err
		}
		input.Manifest = *manifest
	}
	return nil
}

// importing is the import of one input.
type importing struct {
	opts    Options
	name    string
	address string
	key     string // of its manifest
}

// source is where files come from.
type source interface {
	// listing is a digest of what is there, "" when it does not tell whether
	// anything has changed.
	listing(ctx context.Context) (string, error)
	// folder is a folder with the files, and which of its entries they are; nil
	// is all.
	folder(ctx context.Context, progress func(checkpointing.Progress)) (dir string, keep func(string, fs.DirEntry) bool, err error)
	close() error
}

func (im *importing) run(ctx context.Context) (manifest *job.Manifest, err error) {
	from, err := im.open(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, from.close()) }()
	listing, err := from.listing(ctx)
	if err != nil {
		return nil, im.fault(err)
	}
	if manifest, err := im.again(ctx, listing); manifest != nil || err != nil {
		return manifest, err
	}
	dir, keep, err := from.folder(ctx, im.progress)
	if err != nil {
		return nil, im.fault(err)
	}
	saved, err := checkpointing.Open(im.opts.Bucket).Save(ctx, dir, checkpointing.SaveOptions{Key: im.key, Keep: keep, Progress: im.progress})
	if err != nil {
		return nil, im.fault(err)
	}
	if len(saved.Skipped) > 0 {
		return nil, im.fault(fmt.Errorf("%s cannot be imported", saved.Skipped[0]))
	}
	manifest = &job.Manifest{Key: saved.Ref.Key, Digest: saved.Ref.Digest, Bytes: saved.Ref.Bytes, Files: saved.Ref.Files, Content: saved.Ref.Content}
	if listing == "" {
		return manifest, nil
	}
	// What was listed before it was read may have changed since.
	if after, err := from.listing(ctx); err != nil || after != listing {
		return manifest, err
	}
	return manifest, store.WriteImported(ctx, im.opts.Bucket, store.Imported{Source: im.address, Listing: listing, Manifest: *manifest})
}

// again is what was imported before, if the source is as it was then.
func (im *importing) again(ctx context.Context, listing string) (*job.Manifest, error) {
	if listing == "" {
		return nil, nil
	}
	before, known, err := store.ReadImported(ctx, im.opts.Bucket, im.address)
	if err != nil || !known || before.Listing != listing {
		return nil, err
	}
	manifest, err := store.CopyManifest(ctx, im.opts.Bucket, before.Manifest, im.key)
	if errors.Is(err, bucket.ErrNotFound) {
		return nil, nil // its run was removed
	}
	if err != nil {
		return nil, err
	}
	if im.opts.InputProgress != nil {
		im.opts.InputProgress(InputProgress{Name: im.name, Unchanged: true})
	}
	return &manifest, nil
}

func (im *importing) progress(p checkpointing.Progress) {
	if im.opts.InputProgress != nil {
		im.opts.InputProgress(InputProgress{Name: im.name, Progress: p})
	}
}

func (im *importing) open(ctx context.Context) (source, error) {
	if strings.Contains(im.address, "://") {
		return im.openStore(ctx)
	}
	info, err := os.Stat(im.address)
	if err != nil {
		return nil, im.fault(err)
	}
	if info.IsDir() {
		inside, err := bucketBelow(im.opts.Bucket.Describe().URL, im.address)
		return &folderSource{root: im.address, without: inside}, err
	}
	return &folderSource{root: filepath.Dir(im.address), only: filepath.Base(im.address)}, nil
}

// fault says what could not be imported.
func (im *importing) fault(err error) error {
	hint := "name files that are there and that this user may read"
	var ofBucket *bucket.Error
	if errors.As(err, &ofBucket) {
		hint = ofBucket.Hint
	}
	return &Error{Op: "submit", What: fmt.Sprintf("the input %s (%s)", im.name, im.address), Err: err, Hint: hint}
}
