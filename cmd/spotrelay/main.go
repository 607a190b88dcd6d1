// Command spotrelay runs batch jobs on spot instances until they are done.
package main

import (
	"context"
	"os"
	"os/user"
	"runtime"

	"github.com/spotrelay/spotrelay/providers/local"
)

// nameHome sets HOME where it is not, as under cron or systemd: the plugins'
// lock file, the log of a run in the background and the instances of the local
// provider are below it.
func nameHome() {
	if os.Getenv("HOME") != "" || runtime.GOOS == "windows" {
		return
	}
	if who, err := user.Current(); err == nil && who.HomeDir != "" {
		_ = os.Setenv("HOME", who.HomeDir)
	}
}

func main() {
	nameHome()
	// A process of the local provider's is this program under another name.
	if local.IsStage() {
		os.Exit(local.RunStage())
	}
	os.Exit(execute(context.Background(), os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}
