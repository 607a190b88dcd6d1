package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spotrelay/spotrelay/checkpointing"
	"github.com/spotrelay/spotrelay/checkpointing/bucket"
	"github.com/spotrelay/spotrelay/providers"
	"github.com/spotrelay/spotrelay/runner/archive"
	"github.com/spotrelay/spotrelay/runner/store"
)

// The exit codes.
const (
	exitSucceeded   = 0
	exitFailed      = 1
	exitUsage       = 2
	exitInterrupted = 130
)

// exitError ends the program with a code when everything was already said.
type exitError struct{ code int }

func (e *exitError) Error() string { return fmt.Sprintf("exit code %d", e.code) }

// exitWith is nil for 0.
func exitWith(code int) error {
	if code == exitSucceeded {
		return nil
	}
	return &exitError{code: code}
}

// callError is a wrong call: what was wrong, and what to do instead.
type callError struct {
	err  error
	hint string
}

func (e *callError) Error() string { return e.err.Error() }
func (e *callError) Unwrap() error { return e.err }

func wrongCall(hint, format string, args ...any) error {
	return &callError{err: fmt.Errorf(format, args...), hint: hint}
}

// failure is a failure with a hint at what to do.
type failure struct {
	err  error
	hint string
}

func (e *failure) Error() string { return e.err.Error() }
func (e *failure) Unwrap() error { return e.err }

func exitCodeOf(err error) int {
	var call *callError
	switch {
	case err == nil:
		return exitSucceeded
	case errors.As(err, &call):
		return exitUsage
	case errors.Is(err, context.Canceled):
		return exitInterrupted
	}
	return exitFailed
}

// codeAndHint finds what an error carries beside its text.
func codeAndHint(err error) (code, hint string) {
	var (
		call     *callError
		own      *failure
		fromBkt  *bucket.Error
		fromProv *providers.Error
		fromStor *store.Error
		fromChk  *checkpointing.Error
		fromArch *archive.Error
	)
	switch {
	case errors.As(err, &call):
		return "wrong-call", call.hint
	case errors.As(err, &own):
		code, _ = codeAndHint(own.err)
		return code, own.hint
	case errors.As(err, &fromProv):
		return string(fromProv.Code), "" // the text has the hint
	case errors.As(err, &fromChk):
		return string(fromChk.Code), ""
	case errors.As(err, &fromArch):
		return string(fromArch.Code), fromArch.Hint
	case errors.As(err, &fromStor):
		return string(fromStor.Code), ""
	case errors.As(err, &fromBkt):
		return string(fromBkt.Code), ""
	}
	return "failed", ""
}

func (a *app) printError(err error) {
	code, hint := codeAndHint(err)
	if a.json {
		_ = a.printJSON(struct {
			Version int       `json:"version"`
			Error   errorJSON `json:"error"`
		}{jsonVersion, errorJSON{Code: code, Message: err.Error(), Hint: hint}})
	}
	fmt.Fprintf(a.stderr, "spotrelay: %v\n", err)
	if hint != "" {
		fmt.Fprintf(a.stderr, "  %s\n", hint)
	}
}

type errorJSON struct {
	Code    string `json:"code"`
	Message string `json:"message"`
	Hint    string `json:"hint,omitempty"`
}
