//go:build linux || darwin

package local

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"time"
)

const (
	consoleTail  = 64 << 10 // what a provider gives
	consoleLimit = 4 << 20  // what a file may grow to
)

// console is an instance's console output: a file that is open for appending
// in the supervisor and in the instance.
type console struct {
	path string
	file *os.File
}

// say adds a line of the supervisor's.
func (c *console) say(format string, args ...any) {
	text := strings.ReplaceAll(fmt.Sprintf(format, args...), "\n", "; ")
	fmt.Fprintf(c.file, "%s spotrelay local: %s\n", time.Now().UTC().Format("2006-01-02T15:04:05.000Z"), text)
}

// trim cuts a console that has grown too long to its newest part. A line that
// is written at the same moment may be lost.
func (c *console) trim() {
	info, err := c.file.Stat()
	if err != nil || info.Size() <= consoleLimit {
		return
	}
	tail, err := readTail(c.path, consoleTail)
	if err == nil && c.file.Truncate(0) == nil {
		_, _ = c.file.WriteString(tail)
	}
}

// readTail is the newest part of a file, from the start of a line where that
// can be; "" for one that is not there.
func readTail(path string, most int64) (string, error) {
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return "", err
	}
	from := max(info.Size()-most, 0)
	data, err := io.ReadAll(io.NewSectionReader(file, from, most))
	text := strings.ToValidUTF8(string(data), "?")
	if _, rest, ok := strings.Cut(text, "\n"); ok && from > 0 {
		text = rest
	}
	return text, err
}
