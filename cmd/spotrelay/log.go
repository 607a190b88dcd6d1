package main

import (
	"log/slog"
	"os"
	"strings"
)

// logger writes what is for people who look for a fault: SPOTRELAY_LOG is
// debug, info, warn or error; nothing is written without it, since what
// matters to users is told in plain lines.
func (a *app) logger() *slog.Logger {
	level, ok := map[string]slog.Level{
		"debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn, "error": slog.LevelError,
	}[strings.ToLower(os.Getenv("SPOTRELAY_LOG"))]
	if !ok {
		return slog.New(slog.DiscardHandler)
	}
	return slog.New(slog.NewTextHandler(a.stderr, &slog.HandlerOptions{Level: level}))
}
