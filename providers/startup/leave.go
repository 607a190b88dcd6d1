package startup

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spotrelay/spotrelay/providers"
)

// leaveScript is a script of its own, since a timer runs it when the rest is
// long gone. Its first argument says why.
func leaveScript(way providers.Leave) (string, error) {
	head := "leave_means=" + quote(string(way.Means)) + "\n"
	switch way.Means {
	case providers.LeaveExit, providers.LeavePowerOff, providers.LeaveNone:
	case providers.LeaveCommand:
		if len(way.Command) == 0 {
			return "", errors.New("the command that should end the instance is empty")
		}
		words := make([]string, len(way.Command))
		for i, word := range way.Command {
			if strings.ContainsRune(word, 0) {
				return "", fmt.Errorf("the command that should end the instance has a NUL in %q", word)
			}
			words[i] = quote(word)
		}
		head += "leave_once() { " + strings.Join(words, " ") + "; }\n"
	case providers.LeaveRequest:
		request, err := leaveRequest(way)
		if err != nil {
			return "", err
		}
		head += strip(httpText) + request
	case "":
		return "", errors.New("nothing says how the instance ends itself (Options.Leave)")
	default:
		return "", fmt.Errorf("an instance cannot end itself by %q", way.Means)
	}
	return head + strip(leaveText), nil
}

// leaveRequest renders the function that makes the request once.
func leaveRequest(way providers.Leave) (string, error) {
	method := way.Method
	if method == "" {
		method = "POST"
	}
	words := []string{quote(method), `"$url"`, "-"}
	for _, name := range slices.Sorted(maps.Keys(way.Headers)) {
		words = append(words, quote(name+": "+way.Headers[name]))
	}
	if way.URL == "" || strings.ContainsAny(way.URL+strings.Join(words, ""), "\x00\r\n") || strings.ContainsAny(way.URL, "\"\\ ") {
		return "", fmt.Errorf("the request that should end the instance cannot be made: %s %q", method, way.URL)
	}
	before, after, found := strings.Cut(way.URL, "{metadata}")
	url := quote(before)
	direct := ""
	if found {
		url += `"${metadata%/}"` + quote(after)
		direct = "direct=1 "
	}
	return "metadata=${SPOTRELAY_METADATA:-http://169.254.169.254}\n" +
		"leave_once() { url=" + url + "; " + direct + "http " + strings.Join(words, " ") + "; }\n", nil
}
