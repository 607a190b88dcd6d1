package bucket

import (
	"errors"
	"strings"
	"unicode/utf8"
)

// MaxKey is the longest key in bytes, that of S3 and of GCS.
const MaxKey = 1024

// CheckKey says whether key is well formed: relative, slash-separated, without
// empty, "." or ".." elements, valid UTF-8 without control characters and
// backslashes, at most MaxKey bytes. It does no I/O. The error is an *Error
// with CodeInvalid that names op and key.
func CheckKey(op, key string) error {
	if reason := keyFault(key); reason != "" {
		return &Error{
			Code: CodeInvalid, Op: op, Key: key,
			Err:  errors.New("ill-formed key: " + reason),
			Hint: "a key is relative, such as runs/r1/spec.json",
		}
	}
	return nil
}

// checkPrefix is CheckKey for the prefix of a listing, which may be empty and
// may end anywhere, also after a slash.
func checkPrefix(prefix string) error {
	if prefix == "" {
		return nil
	}
	whole := prefix
	if strings.HasSuffix(whole, "/") {
		whole += "x"
	}
	// A last element of "." or ".." may be the beginning of a longer name.
	if last := whole[strings.LastIndexByte(whole, '/')+1:]; last == "." || last == ".." {
		whole += "x"
	}
	if reason := keyFault(whole); reason != "" {
		return &Error{Code: CodeInvalid, Op: "list", Key: prefix, Err: errors.New("ill-formed prefix: " + reason)}
	}
	return nil
}

func keyFault(key string) string {
	switch {
	case key == "":
		return "it is empty"
	case len(key) > MaxKey:
		return "it is longer than 1024 bytes"
	case !utf8.ValidString(key):
		return "it is not UTF-8"
	}
	for _, r := range key {
		if r < ' ' || r == 0x7f {
			return "it has a control character"
		}
		if r == '\\' {
			return "it has a backslash"
		}
	}
	for element := range strings.SplitSeq(key, "/") {
		switch element {
		case "":
			return "it has an empty element"
		case ".", "..":
			return `it has a "` + element + `" element`
		}
	}
	return ""
}
