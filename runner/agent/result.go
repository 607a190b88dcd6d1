//go:build unix

package agent

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/spotrelay/spotrelay/runner/job"
)

// resultFile is where the task writes its small values. It is not there before
// the task makes it.
func (t *attempt) resultFile() string { return filepath.Join(t.dir, "result") }

// takeResult reads the result file of a task that succeeded. One that cannot be
// read as such fails the attempt as a missing output does: others wait for what
// it should say.
func (t *attempt) takeResult() error {
	text, err := readResult(t.resultFile())
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return outputFault(fmt.Errorf("the file %s cannot be read: %w", varResult, err))
	}
	result, err := job.ParseResult(text)
	if err != nil {
		return outputFault(fmt.Errorf("the file %s is of no use: %w", varResult, err))
	}
	os.Remove(t.resultFile()) // an empty folder can be used again
	t.record(func(end *job.AttemptEnd) { end.Result = result })
	return nil
}

// readResult reads as much of the file as it may hold and one byte more. A
// FIFO or a device in its place is not waited for.
func readResult(path string) ([]byte, error) {
	file, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	info, err := file.Stat()
	switch {
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, errors.New("it is no regular file")
	}
	return io.ReadAll(io.LimitReader(file, job.MaxResultBytes+1))
}
