package plugins

import (
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
)

// PathVariable is the environment variable that lists folders with plugins,
// separated as PATH is.
const PathVariable = "SPOTRELAY_PLUGIN_PATH"

// filePrefix of every plugin's file name; what follows is the provider's name.
const filePrefix = "spotrelay-provider-"

var validName = regexp.MustCompile(`^[a-z][a-z0-9-]{0,62}$`)

// ValidName reports whether a provider may have that name: it begins with a
// small letter and has small letters, digits and '-', at most 63.
func ValidName(name string) bool { return validName.MatchString(name) }

// DefaultPath is the plugin path: the folders in SPOTRELAY_PLUGIN_PATH, then
// the user's own ($XDG_DATA_HOME, by default ~/.local/share, and there
// spotrelay/plugins).
func DefaultPath() []string {
	var path []string
	for _, dir := range filepath.SplitList(os.Getenv(PathVariable)) {
		if dir != "" {
			path = append(path, dir)
		}
	}
	data := os.Getenv("XDG_DATA_HOME")
	if data == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			return path
		}
		data = filepath.Join(home, ".local", "share")
	}
	return append(path, filepath.Join(data, "spotrelay", "plugins"))
}

func fileName(name string) string {
	if runtime.GOOS == "windows" {
		return filePrefix + name + ".exe"
	}
	return filePrefix + name
}

// find is the executable of a plugin: the first on the path.
func find(path []string, name string) (string, bool) {
	if !validName.MatchString(name) {
		return "", false
	}
	for _, dir := range path {
		file := filepath.Join(dir, fileName(name))
		if executable(file) {
			absolute, err := filepath.Abs(file)
			return absolute, err == nil
		}
	}
	return "", false
}

// found is the names of all plugins on the path, in order.
func found(path []string) []string {
	var names []string
	for _, dir := range path {
		entries, err := os.ReadDir(dir)
		if err != nil {
			continue // a folder that is not there holds no plugins
		}
		for _, entry := range entries {
			name, ok := strings.CutPrefix(strings.TrimSuffix(entry.Name(), ".exe"), filePrefix)
			if ok && validName.MatchString(name) && executable(filepath.Join(dir, entry.Name())) {
				names = append(names, name)
			}
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func executable(file string) bool {
	info, err := os.Stat(file)
	return err == nil && info.Mode().IsRegular() && (runtime.GOOS == "windows" || info.Mode()&0o111 != 0)
}
