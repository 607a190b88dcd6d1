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
	level, ok := wantedLevel()
	if !ok {
		return slog.New(warningHandler{to: a.warnings})
	}
	return slog.New(slog.NewTextHandler(a.stderr, &slog.HandlerOptions{Level: level}))
}

// logLevel is what SPOTRELAY_LOG says, or else usual.
func logLevel(usual slog.Level) slog.Level {
	if level, ok := wantedLevel(); ok {
		return level
	}
	return usual
}

func wantedLevel() (slog.Level, bool) {
	level, ok := map[string]slog.Level{
		"debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn, "error": slog.LevelError,
	}[strings.ToLower(os.Getenv("SPOTRELAY_LOG"))]
	return level, ok
}
