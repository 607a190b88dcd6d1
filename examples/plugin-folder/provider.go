package main

import (
	"fmt"

	"github.com/spotrelay/spotrelay/providers"
)

// provider implements providers.Provider. Its methods may be called at the same
// time. It keeps nothing that a restart would lose: the cloud is its memory.
type provider struct{}

var _ providers.Provider = (*provider)(nil)

// failed is an error that spotrelay understands: the code decides what happens
// next, the message is for people.
func failed(code providers.Code, op, format string, args ...any) error {
	return &providers.Error{Code: code, Op: op, Message: fmt.Sprintf(format, args...)}
}
