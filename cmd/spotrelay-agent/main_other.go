//go:build !unix

package main

import (
	"fmt"
	"os"
)

func main() {
	fmt.Fprintln(os.Stderr, "spotrelay-agent", version, "runs on Linux and macOS only")
	os.Exit(2)
}
