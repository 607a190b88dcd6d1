package main

import "golang.org/x/sys/unix"

// setAttribute tries whether files below a folder can have extended attributes.
func setAttribute(folder string) error {
	return unix.Setxattr(folder, "user.spotrelay", []byte("1"), 0)
}
