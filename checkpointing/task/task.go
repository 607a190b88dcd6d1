package task

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// ExitSaved is the exit code that says: saved, run me again (EX_TEMPFAIL).
const ExitSaved = 75

// The variables that the agent sets.
const (
	varSocket     = "SPOTRELAY_SOCKET"
	varCheckpoint = "SPOTRELAY_CHECKPOINT_DIR"
	varResumed    = "SPOTRELAY_RESUMED"
	varOutput     = "SPOTRELAY_OUTPUT_DIR"
	varNotice     = "SPOTRELAY_NOTICE_FILE"
)

// Active reports whether spotrelay runs this program.
func Active() bool { return os.Getenv(varSocket) != "" }

// Dir is the checkpoint directory, which the agent has made, or otherwise where
// there is none: for a program that is run by hand, or whose task has no
// checkpoint block.
func Dir(otherwise string) string { return variable(varCheckpoint, otherwise) }

// OutputDir is the directory that is committed on success, or otherwise where
// there is none.
func OutputDir(otherwise string) string { return variable(varOutput, otherwise) }

func variable(name, otherwise string) string {
	if value := os.Getenv(name); value != "" {
		return value
	}
	return otherwise
}

// Resumed reports whether Dir holds what an earlier attempt committed. It is
// false when that attempt had written nothing yet.
func Resumed() bool {
	dir := os.Getenv(varCheckpoint)
	if dir == "" || os.Getenv(varResumed) != "1" {
		return false
	}
	folder, err := os.Open(dir)
	if err != nil {
		return false
	}
	defer folder.Close()
	names, _ := folder.Readdirnames(1)
	return len(names) > 0
}

// WriteFile replaces the file path whole: whoever reads it, a save among them,
// finds the old content or the new one. A folder that is missing is made. It
// may be repeated, but not be called for one path at the same time.
func WriteFile(path string, data []byte, mode fs.FileMode) error {
	dir, name := filepath.Split(path)
	if err := os.MkdirAll(filepath.Clean(dir), 0o755); err != nil {
		return err
	}
	temporary := filepath.Join(dir, ".new-"+name) // what a kill leaves of it, the next one replaces
	if err := os.Remove(temporary); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	err := writeSynced(temporary, data, mode)
	if err == nil {
		err = os.Rename(temporary, path)
	}
	if err != nil {
		os.Remove(temporary)
	}
	return err
}

func writeSynced(path string, data []byte, mode fs.FileMode) error {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	_, err = file.Write(data)
	return errors.Join(err, file.Sync(), file.Close())
}
