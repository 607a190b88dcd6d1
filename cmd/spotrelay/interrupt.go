package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

// interrupted tells of the first SIGINT or SIGTERM; at the second the process
// leaves at once.
func interrupted(ctx context.Context) <-chan struct{} {
	first := make(chan struct{})
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		defer signal.Stop(signals)
		select {
		case <-signals:
			close(first)
		case <-ctx.Done():
			return
		}
		select {
		case <-signals:
			os.Exit(exitInterrupted)
		case <-ctx.Done():
		}
	}()
	return first
}
