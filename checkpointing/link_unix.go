//go:build !windows

package checkpointing

import (
	"os"
	"path"
	"runtime"

	"golang.org/x/sys/unix"
)

// linkBetween gives a file below one root the same name below another.
func linkBetween(from, to *os.Root, name string) error {
	source, err := from.Open(path.Dir(name))
	if err != nil {
		return err
	}
	defer source.Close()
	target, err := to.Open(path.Dir(name))
	if err != nil {
		return err
	}
	defer target.Close()
	base := path.Base(name)
	err = uninterrupted(func() error { return unix.Linkat(int(source.Fd()), base, int(target.Fd()), base, 0) })
	runtime.KeepAlive(source)
	runtime.KeepAlive(target)
	return err
}
