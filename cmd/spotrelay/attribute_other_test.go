//go:build !linux

package main

import "errors"

func setAttribute(string) error { return errors.ErrUnsupported }
