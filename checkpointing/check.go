package checkpointing

import (
	"errors"
	"fmt"
	"math"
	"path"
	"path/filepath"
	"runtime"
	"strings"
)

// errUnsafe: restoring the entry could leave the directory.
type errUnsafe struct {
	path   string
	reason string
}

func (e *errUnsafe) Error() string { return fmt.Sprintf("%q: %s", e.path, e.reason) }

// check tells whether the manifest keeps its form's rules. Restoring relies on
// them: no entry leaves the directory or lies below anything but a directory
// of the manifest, and no extent leaves its file, no chunk its pack.
func (m *manifest) check() error {
	if err := m.checkPacks(); err != nil {
		return err
	}
	dirs := map[string]bool{".": true}
	var total int64
	for i := range m.Entries {
		e := &m.Entries[i]
		if err := checkPath(e.Path); err != nil {
			return err
		}
		if i > 0 && e.Path <= m.Entries[i-1].Path {
			if e.Path == m.Entries[i-1].Path {
				return &errUnsafe{e.Path, "it is listed twice"}
			}
			return fmt.Errorf("%q is out of order", e.Path)
		}
		if !dirs[path.Dir(e.Path)] {
			return &errUnsafe{e.Path, "what it lies in is no directory of the manifest"}
		}
		if e.Type == typeDir {
			dirs[e.Path] = true
		}
		if err := m.checkEntry(e); err != nil {
			return err
		}
		if e.Size > math.MaxInt64-total {
			return errors.New("the sizes of the files exceed all bounds")
		}
		total += e.Size
	}
	return nil
}

func (m *manifest) checkPacks() error {
	for i := range m.Packs {
		p := &m.Packs[i]
		if p.Size <= 0 || p.Size > maxPack {
			return fmt.Errorf("pack %d has %d bytes", i, p.Size)
		}
		if strings.ContainsFunc(p.Salt, notHex) || len(p.Salt) > 64 {
			return fmt.Errorf("pack %d has the salt %q", i, p.Salt)
		}
	}
	for i, c := range m.Chunks {
		if c.Size <= 0 || c.Size > maxChunk || c.Stored <= 0 || c.Stored > c.Size {
			return fmt.Errorf("chunk %d has %d bytes, stored in %d", i, c.Size, c.Stored)
		}
		if c.Pack < 0 || c.Pack >= len(m.Packs) || c.Offset < 0 || int64(c.Offset)+int64(c.Stored) > m.Packs[c.Pack].Size {
			return fmt.Errorf("chunk %d lies outside of its pack", i)
		}
	}
	return nil
}

func notHex(r rune) bool { return (r < '0' || r > '9') && (r < 'a' || r > 'f') }

func (m *manifest) checkEntry(e *entry) error {
	if e.Mode&^0o777 != 0 {
		return &errUnsafe{e.Path, fmt.Sprintf("mode %o has more than permission bits", e.Mode)}
	}
	switch e.Type {
	case typeFile:
		return m.checkExtents(e)
	case typeDir:
	case typeLink:
		if reason := linkFault(e.Path, e.Link); reason != "" {
			return &errUnsafe{e.Path, reason}
		}
	default:
		return &errUnsafe{e.Path, fmt.Sprintf("an entry of kind %d is never restored", e.Type)}
	}
	if e.Size != 0 || len(e.Extents) != 0 {
		return fmt.Errorf("%q is no file and has content", e.Path)
	}
	return nil
}

func (m *manifest) checkExtents(e *entry) error {
	if e.Size < 0 {
		return fmt.Errorf("%q has %d bytes", e.Path, e.Size)
	}
	end := int64(0)
	for _, x := range e.Extents {
		if x.Chunk < 0 || x.Chunk >= len(m.Chunks) {
			return fmt.Errorf("%q names chunk %d of %d", e.Path, x.Chunk, len(m.Chunks))
		}
		size := int64(m.Chunks[x.Chunk].Size)
		if x.Offset < end || x.Offset > e.Size || size > e.Size-x.Offset {
			return fmt.Errorf("%q has bytes out of order or after its end", e.Path)
		}
		end = x.Offset + size
	}
	return nil
}

// checkPath refuses a path that is not plainly below the directory, here or on
// the system that restores it (names such as C: and NUL on Windows).
func checkPath(p string) error {
	switch {
	case p == "" || p == "." || strings.HasPrefix(p, "/"):
		return &errUnsafe{p, "it is not a path below the directory"}
	case strings.ContainsRune(p, 0):
		return &errUnsafe{p, "it has a NUL byte"}
	case path.Clean(p) != p || p == ".." || strings.HasPrefix(p, "../"):
		return &errUnsafe{p, `it has "", "." or ".." elements`}
	}
	if runtime.GOOS == "windows" {
		if _, err := filepath.Localize(p); err != nil {
			return &errUnsafe{p, "this system has no file of that name"}
		}
	}
	return nil
}

// linkFault says why a link at p to target may not be restored; "" when it may.
// ".." is allowed only at the beginning: after a name it would be taken from
// wherever that name leads, which may be another link.
func linkFault(p, target string) string {
	switch {
	case target == "":
		return "the link leads nowhere"
	case strings.ContainsRune(target, 0):
		return "the link has a NUL byte"
	case strings.HasPrefix(target, "/"):
		return "the link is absolute: " + target
	case runtime.GOOS == "windows" && strings.ContainsAny(target, `\:`):
		return "the link is none on this system: " + target
	}
	depth := strings.Count(p, "/")
	named := false
	for element := range strings.SplitSeq(target, "/") {
		switch element {
		case "", ".":
		case "..":
			if named {
				return `the link has ".." after a name: ` + target
			}
			if depth--; depth < 0 {
				return "the link leads out of the directory: " + target
			}
		default:
			named = true
		}
	}
	return ""
}
