package startup

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// quote makes one word of the shell out of any text without NUL.
func quote(text string) string {
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}

// strip leaves comments and indentation out: user data is small. No text of
// the scripts may begin a line with a # that is none, and Python's lines keep
// their indentation.
func strip(script string) string {
	var s strings.Builder
	python := false
	for line := range strings.Lines(script) {
		bare := strings.TrimLeft(line, " \t")
		switch {
		case python:
			python = !strings.HasPrefix(line, "' ")
			s.WriteString(line)
		case bare == "\n" || strings.HasPrefix(bare, "#"):
		default:
			python = strings.HasSuffix(line, "python3 -c '\n")
			s.WriteString(bare)
		}
	}
	return s.String()
}

var variableName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// shellsOwn are names that a shell does not leave alone: read-only, reckoned
// anew at each use, or what it reads its own script by.
var shellsOwn = map[string]bool{
	"_": true, "IFS": true, "PWD": true, "OLDPWD": true, "OPTARG": true, "OPTIND": true, "SHLVL": true,
	"PPID": true, "UID": true, "EUID": true, "GROUPS": true, "SHELLOPTS": true, "POSIXLY_CORRECT": true,
	"RANDOM": true, "SRANDOM": true, "SECONDS": true, "LINENO": true, "HISTCMD": true, "DIRSTACK": true,
	"FUNCNAME": true, "PIPESTATUS": true, "EPOCHSECONDS": true, "EPOCHREALTIME": true, "COMP_WORDBREAKS": true,
}

// exportsOf renders the variables of both, of which those of more win.
func exportsOf(base, more map[string]string) (string, error) {
	merged := maps.Clone(base)
	if merged == nil {
		merged = map[string]string{}
	}
	maps.Copy(merged, more)
	var s strings.Builder
	for _, name := range slices.Sorted(maps.Keys(merged)) {
		switch {
		case !variableName.MatchString(name):
			return "", fmt.Errorf("%q is no name of a variable", name)
		case shellsOwn[name] || strings.HasPrefix(name, "BASH"):
			return "", fmt.Errorf("the variable %s belongs to the shell and cannot be handed to the agent", name)
		case strings.ContainsRune(merged[name], 0):
			return "", fmt.Errorf("the value of %s has a NUL, which no environment can hold", name)
		}
		s.WriteString("export " + name + "=" + quote(merged[name]) + "\n")
	}
	return strings.TrimSuffix(s.String(), "\n"), nil
}
