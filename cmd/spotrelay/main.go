// Command spotrelay runs batch jobs on spot instances until they are done.
package main

import (
	"context"
	"os"

	"github.com/spotrelay/spotrelay/providers/local"
)

func main() {
	// A process of the local provider's is this program under another name.
	if local.IsStage() {
		os.Exit(local.RunStage())
	}
	os.Exit(execute(context.Background(), os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}
