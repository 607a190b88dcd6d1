package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/spotrelay/spotrelay/checkpointing/bucket"
)

// startBackground starts a controller of its own for a run, which outlives this
// process and its terminal. What it says goes to a file in the user's state
// folder.
func (a *app) startBackground(_ context.Context, address, run string) error {
	executable, err := os.Executable()
	if err != nil {
		return fmt.Errorf("starting a controller in the background: %w", err)
	}
	logFile, err := backgroundLog(run)
	if err != nil {
		return fmt.Errorf("starting a controller in the background: %w", err)
	}
	defer logFile.Close()
	// Not bound to ctx: it is to outlive this process.
	cmd := exec.Command(executable, "attach", run, "--background", "--bucket", address)
	cmd.Stdout, cmd.Stderr = logFile, logFile
	ownSession(cmd)
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("starting a controller in the background: %w", err)
	}
	if !a.json {
		fmt.Fprintf(a.stderr, "run %s goes on in the background, process %d, log %s\n", run, cmd.Process.Pid, logFile.Name())
	}
	return cmd.Process.Release()
}

// backgroundLog opens the file that a background controller writes to.
func backgroundLog(run string) (*os.File, error) {
	dir, err := stateFolder()
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	return os.OpenFile(filepath.Join(dir, run+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
}

// stateFolder is $XDG_STATE_HOME/spotrelay, by default ~/.local/state/spotrelay.
func stateFolder() (string, error) {
	if dir := os.Getenv("XDG_STATE_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "spotrelay"), nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", err
	}
	return filepath.Join(home, ".local", "state", "spotrelay"), nil
}

// detach says where the run is and lets it go on in the background.
func (a *app) detach(ctx context.Context, b bucket.Bucket, run, job string) error {
	address := b.Describe().URL
	if err := a.startBackground(ctx, address, run); err != nil {
		return err
	}
	if a.json {
		return a.printJSON(startedJSON{Version: jsonVersion, Event: "run-started", Run: run, Job: job, Bucket: address})
	}
	fmt.Fprintln(a.stdout, run)
	return nil
}
