package main

import (
	"log/slog"
	"os"
	"strings"
)

// logger writes what is for people who look for a fault: SPOTRELAY_LOG is
// debug, info, warn or error. Without it warnings alone are said, as plain
// lines.
func (a *app) logger() *slog.Logger {
	level, ok := map[string]slog.Level{
		"debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn, "error": slog.LevelError,
	}[strings.ToLower(os.Getenv("SPOTRELAY_LOG"))]
	if !ok {
		return slog.New(warningHandler{to: a.warnings})
	}
	return slog.New(slog.NewTextHandler(a.stderr, &slog.HandlerOptions{Level: level}))
}
