//go:build linux

// Command spotrelay-provider-qemu rents virtual machines of QEMU on this machine:
// real ones, with a kernel, a network and a metadata service of their own, to see
// what an interruption does to a whole machine. The one program is the plugin, the
// process that keeps a machine, and the machine's first process.
package main

import (
	"fmt"
	"io"
	"net"
	"os"

	"github.com/spotrelay/spotrelay/plugins"
)

func main() {
	switch {
	case os.Getpid() == 1:
		guest()
	case len(os.Args) == 3 && os.Args[1] == "keep":
		exitOn(keep(os.Args[2]))
	case len(os.Args) == 3 && os.Args[1] == "dial":
		exitOn(dial(os.Args[2]))
	default:
		plugins.Serve(&provider{})
	}
}

func exitOn(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// dial joins standard input and output to a connection: QEMU starts it for each
// that a machine makes to its metadata service.
func dial(address string) error {
	connection, err := net.Dial("tcp", address)
	if err != nil {
		return err
	}
	go func() {
		_, _ = io.Copy(connection, os.Stdin)
		os.Exit(0) // the machine has closed its end
	}()
	_, err = io.Copy(os.Stdout, connection)
	return err
}
