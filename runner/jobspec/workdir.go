package jobspec

import (
	"io/fs"
	"strings"

	"github.com/bmatcuk/doublestar/v4"
)

// Workdir says which files are sent to the instances.
type Workdir struct {
	// Root is the folder: the job file's own, or one relative to it.
	Root string
	// Include and Exclude are patterns of slash paths below Root: "*" within a
	// name, "**" over folders. One without a slash is for names at any depth;
	// one that names a folder is for all that is in it. Exclude wins.
	Include []string
	Exclude []string
}

// alwaysExcluded is spotrelay's own folder: the default bucket lies there, and
// it would be sent into itself.
const alwaysExcluded = ".spotrelay"

// Keep reports whether the entry at a slash path below Root is sent. A folder
// is kept when something below it might be. It fits
// checkpointing.SaveOptions.Keep.
func (w *Workdir) Keep(path string, entry fs.DirEntry) bool {
	if path == "." || path == "" {
		return true
	}
	if path == alwaysExcluded || strings.HasPrefix(path, alwaysExcluded+"/") {
		return false
	}
	for _, pattern := range w.Exclude {
		if Covers(pattern, path) {
			return false
		}
	}
	for _, pattern := range w.Include {
		if Covers(pattern, path) || entry.IsDir() && mayHold(pattern, path) {
			return true
		}
	}
	return false
}

// covers reports whether the pattern matches the path or a folder above it.
func Covers(pattern, path string) bool {
	pattern = cleanPattern(pattern)
	anyDepth := !strings.Contains(pattern, "/")
	for end := len(path); end > 0; end = strings.LastIndexByte(path[:end], '/') {
		candidate := path[:end]
		if anyDepth {
			candidate = candidate[strings.LastIndexByte(candidate, '/')+1:]
		}
		if doublestar.MatchUnvalidated(pattern, candidate) {
			return true
		}
	}
	return false
}

// mayHold reports whether something below the folder could match the pattern.
func mayHold(pattern, folder string) bool {
	pattern = cleanPattern(pattern)
	if !strings.Contains(pattern, "/") {
		return true
	}
	parts := strings.Split(pattern, "/")
	for i, name := range strings.Split(folder, "/") {
		if i >= len(parts) {
			return false
		}
		if strings.ContainsAny(parts[i], "{[\\") || strings.Contains(parts[i], "**") {
			return true // may span folders: look inside
		}
		if !doublestar.MatchUnvalidated(parts[i], name) {
			return false
		}
	}
	return true
}

func cleanPattern(pattern string) string {
	return strings.TrimSuffix(strings.TrimPrefix(pattern, "./"), "/")
}
