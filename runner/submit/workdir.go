package submit

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/spotrelay/spotrelay/checkpointing"
	"github.com/spotrelay/spotrelay/checkpointing/bucket"
	"github.com/spotrelay/spotrelay/runner/job"
	"github.com/spotrelay/spotrelay/runner/store"
)

// never holds names that are not sent, wherever they are: version control and
// the folder that is the default bucket.
var never = map[string]bool{".git": true, ".hg": true, ".svn": true, ".jj": true, ".spotrelay": true}

// sendWorkdir saves the workdir under the run's key.
func sendWorkdir(ctx context.Context, opts Options, run string) (*job.Manifest, error) {
	root := opts.Workdir.Root
	if info, err := os.Stat(root); err != nil || !info.IsDir() {
		if err == nil {
			err = fmt.Errorf("it is no folder")
		}
		return nil, &Error{Op: "submit", What: "the workdir " + root, Err: err, Hint: "give a folder that exists, or leave the workdir block out"}
	}
	inside, err := bucketBelow(opts.Bucket.Describe().URL, root)
	if err != nil {
		return nil, err
	}
	saved, err := checkpointing.Open(opts.Bucket).Save(ctx, root, checkpointing.SaveOptions{
		Key: store.WorkdirKey(run), Progress: opts.Progress,
		Keep: func(name string, entry fs.DirEntry) bool {
			if never[path.Base(name)] || inside != "" && name == inside {
				return false
			}
			return opts.Workdir.Keep == nil || opts.Workdir.Keep(name, entry)
		},
	})
	if errors.Is(err, fs.ErrPermission) && !isOfBucket(err) {
		return nil, &Error{Op: "submit", What: "the workdir " + root, Err: err, Hint: "make it readable for this user, or exclude it in the workdir block"}
	}
	if err != nil {
		return nil, fmt.Errorf("sending the workdir %s: %w", root, err)
	}
	if opts.Skipped != nil && len(saved.Skipped) > 0 {
		opts.Skipped(saved.Skipped)
	}
	return store.ManifestRef(saved.Ref), nil
}

// isOfBucket tells an error of the bucket's from one of the workdir's.
func isOfBucket(err error) bool {
	var fault *bucket.Error
	return errors.As(err, &fault)
}

// bucketBelow is the slash path of a folder bucket below root, "" when it is
// elsewhere: sending it into itself would have no end.
func bucketBelow(address, root string) (string, error) {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "file" {
		return "", nil //nolint:nilerr // what is no folder lies nowhere below
	}
	folder := u.Path
	if runtime.GOOS == "windows" {
		folder = strings.TrimPrefix(folder, "/")
	}
	relative, err := filepath.Rel(resolve(root), resolve(filepath.FromSlash(folder)))
	if err != nil || relative == ".." || strings.HasPrefix(relative, ".."+string(filepath.Separator)) {
		return "", nil //nolint:nilerr // no path leads from one to the other
	}
	if relative == "." {
		return "", &Error{
			Op: "submit", What: "the workdir " + root, Err: fmt.Errorf("it is the bucket itself: %w", bucket.ErrInvalid),
			Hint: "give the bucket a folder of its own",
		}
	}
	return filepath.ToSlash(relative), nil
}

// resolve is a path without links and relative parts, as far as that can be
// told.
func resolve(path string) string {
	if absolute, err := filepath.Abs(path); err == nil {
		path = absolute
	}
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real
	}
	return path
}
