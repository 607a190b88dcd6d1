package submit

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"github.com/spotrelay/spotrelay/checkpointing"
	"github.com/spotrelay/spotrelay/checkpointing/bucket"
)

// storeSource is the objects below a prefix of an object store, or one object.
type storeSource struct {
	b       bucket.Bucket
	objects []bucket.Object
	staged  string // the folder that they were fetched into
}

// fetchAtOnce is how many objects are fetched at a time.
const fetchAtOnce = 16

// openStore opens a prefix; an address that nothing is below is that of an object.
func (im *importing) openStore(ctx context.Context) (source, error) {
	s, err := listStore(ctx, im.address, "")
	if err != nil {
		return nil, im.fault(err)
	}
	if len(s.objects) > 0 {
		return s, nil
	}
	parent, name := splitObject(im.address)
	if name == "" {
		return nil, im.fault(errors.Join(errors.New("nothing is there"), s.close()))
	}
	one, err := listStore(ctx, parent, name)
	if err == nil && len(one.objects) == 0 {
		err = errors.Join(errors.New("nothing is there"), one.close())
	}
	if err = errors.Join(err, s.close()); err != nil {
		return nil, im.fault(err)
	}
	return one, nil
}

// splitObject is the address of what an object lies in, and its name there; ""
// for the address of a whole bucket.
func splitObject(address string) (parent, name string) {
	i := strings.LastIndexByte(address, '/')
	if i < 0 || strings.HasSuffix(address[:i+1], "://") {
		return address, ""
	}
	return address[:i], address[i+1:]
}

// listStore opens an address and lists it, or the one object in it.
func listStore(ctx context.Context, address, only string) (*storeSource, error) {
	b, err := bucket.Open(ctx, address)
	if err != nil {
		return nil, err
	}
	return listBucket(ctx, b, only)
}

// listBucket takes what a bucket holds, and the bucket with it.
func listBucket(ctx context.Context, b bucket.Bucket, only string) (*storeSource, error) {
	s := &storeSource{b: b}
	for object, err := range b.List(ctx, only, "") {
		switch {
		case err != nil:
			return nil, errors.Join(err, b.Close())
		case strings.HasSuffix(object.Key, "/"): // what consoles make for a folder
		case only != "" && object.Key != only:
		case bucket.CheckKey("import", object.Key) != nil || !filepath.IsLocal(filepath.FromSlash(object.Key)):
			return nil, errors.Join(fmt.Errorf("the object %q cannot be the name of a file", object.Key), b.Close())
		default:
			s.objects = append(s.objects, object)
		}
	}
	return s, nil
}

func (s *storeSource) listing(context.Context) (string, error) {
	digest := sha256.New()
	for _, object := range s.objects {
		fmt.Fprintf(digest, "%q %d %q\n", object.Key, object.Size, object.Version)
	}
	return hex.EncodeToString(digest.Sum(nil)), nil
}

// folder fetches the objects into a temporary folder.
func (s *storeSource) folder(ctx context.Context, progress func(checkpointing.Progress)) (string, func(string, fs.DirEntry) bool, error) {
	dir, err := os.MkdirTemp("", "spotrelay-import-")
	if err != nil {
		return "", nil, err
	}
	s.staged = dir
	var total int64
	for _, object := range s.objects {
		total += object.Size
	}
	var done atomic.Int64
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(fetchAtOnce)
	told := make(chan struct{}, 1) // one tells at a time, the others go on
	for _, object := range s.objects {
		group.Go(func() error {
			if err := s.fetch(ctx, dir, object); err != nil {
				return err
			}
			fetched := done.Add(object.Size)
			select {
			case told <- struct{}{}:
				progress(checkpointing.Progress{Stage: checkpointing.StageFetching, BytesDone: fetched, BytesTotal: total, Files: len(s.objects)})
				<-told
			default:
			}
			return nil
		})
	}
	return dir, nil, group.Wait()
}

// fetch fetches the version of an object that was listed.
func (s *storeSource) fetch(ctx context.Context, dir string, object bucket.Object) (err error) {
	name := filepath.Join(dir, filepath.FromSlash(object.Key))
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	body, found, err := s.b.Get(ctx, object.Key, 0, -1)
	if err != nil {
		return err
	}
	defer body.Close()
	if found.Version != object.Version {
		return fmt.Errorf("%s changed while it was imported; import it when nobody writes there", object.Key)
	}
	file, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	_, err = io.Copy(file, body)
	return err
}

func (s *storeSource) close() error {
	err := s.b.Close()
	if s.staged != "" {
		err = errors.Join(err, os.RemoveAll(s.staged))
	}
	return err
}
