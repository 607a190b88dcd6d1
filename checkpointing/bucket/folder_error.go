package bucket

import (
	"errors"
	"io/fs"
	"path"
)

const hintObjectAndPrefix = "in a folder a key cannot be an object and the prefix of others at once"

// folderError makes the error of an operation from that of a system call.
func folderError(op, key string, err error) error {
	var already *Error
	if errors.As(err, &already) {
		return err
	}
	e := &Error{Code: CodeUnavailable, Op: op, Key: key, Err: err}
	switch {
	case isFull(err):
		e.Code, e.Hint = CodeFull, "free some room on the disk that holds the bucket, or raise the quota"
	case isTooLong(err):
		e.Code, e.Hint = CodeInvalid, "a folder holds names of at most 255 bytes"
	case isNotDir(err), isDir(err):
		e.Code, e.Hint = CodeInvalid, hintObjectAndPrefix
	case errors.Is(err, fs.ErrNotExist):
		e.Code = CodeNotFound
	case errors.Is(err, fs.ErrPermission), isReadOnly(err):
		e.Code, e.Hint = CodeDenied, "make the folder writable for this user, or choose another with --bucket"
	}
	return e
}

// fail is folderError that also recognizes a link planted in the folder.
func (f *folder) fail(op, key string, err error) error {
	made := folderError(op, key, err)
	var e *Error
	if !errors.As(made, &e) {
		return made
	}
	if e.Code == CodeInvalid && op == "get" {
		e.Code, e.Hint = CodeNotFound, "" // a/b is asked for and a is an object
	}
	if e.Code != CodeUnavailable {
		return made
	}
	for name := key; name != "."; name = path.Dir(name) {
		info, err := f.root.Lstat(name)
		if err == nil && info.Mode()&fs.ModeSymlink != 0 {
			e.Code, e.Hint = CodeDenied, "remove the symbolic link "+name+" from the bucket's folder"
		}
	}
	return made
}
