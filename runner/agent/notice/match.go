package notice

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spotrelay/spotrelay/providers"
	"github.com/spotrelay/spotrelay/runner/job"
)

// stale is how long ago a deadline in a TimeText body may lie before it is an
// old one: EC2's termination-time keeps its value after a notice was withdrawn.
const stale = 5 * time.Minute

// maxText is how much of a body a notice keeps, in bytes.
const maxText = 512

// Read reads the body of a 200 answer as match says. It is the notice, nil for
// none, or an error for a body that is not what the match describes. now is
// the instance's wall clock, for deadlines.
func Read(body []byte, match providers.NoticeMatch, now time.Time) (*job.Notice, error) {
	text := strings.TrimSpace(string(body))
	switch {
	case len(match.Text) > 0:
		if !slices.Contains(match.Text, text) {
			return nil, nil
		}
		return finish(&job.Notice{Action: strings.ToLower(text)}, "", match, text, now), nil
	case match.TimeText:
		at, err := time.Parse(time.RFC3339, text)
		if err != nil || now.Sub(at) > stale {
			return nil, nil //nolint:nilerr // text that is no time is no notice
		}
		return finish(&job.Notice{Deadline: at}, "", match, text, now), nil
	}
	return readJSON([]byte(text), match, now)
}

func readJSON(body []byte, match providers.NoticeMatch, now time.Time) (*job.Notice, error) {
	var document any
	if err := json.Unmarshal(body, &document); err != nil {
		return nil, fmt.Errorf("the answer is not JSON: %w", err)
	}
	if document == nil {
		return nil, nil
	}
	found, err := choose(document, match)
	if found == nil || err != nil {
		return nil, err
	}
	action, _ := lookUp(found, match.Action)
	deadline, _ := lookUp(found, match.Deadline)
	text, err := json.Marshal(found)
	if err != nil {
		return nil, err
	}
	return finish(&job.Notice{Action: action}, deadline, match, string(text), now), nil
}

// choose is the part of the document that is the notice, nil for none.
func choose(document any, match providers.NoticeMatch) (any, error) {
	if !match.Array && match.ArrayPath == "" {
		if _, ok := document.(map[string]any); !ok {
			return nil, fmt.Errorf("the answer is %T, an object was expected", document)
		}
		if !wanted(document, match) {
			return nil, nil
		}
		return document, nil
	}
	list := document
	if match.ArrayPath != "" {
		list, _ = walk(document, match.ArrayPath)
		if list == nil {
			return nil, nil
		}
	}
	elements, ok := list.([]any)
	if !ok {
		return nil, fmt.Errorf("the answer has %T where an array was expected", list)
	}
	for _, element := range elements {
		if element != nil && wanted(element, match) {
			return element, nil
		}
	}
	return nil, nil
}

func wanted(element any, match providers.NoticeMatch) bool {
	if match.When == "" {
		return true
	}
	value, ok := lookUp(element, match.When)
	return ok && (len(match.In) == 0 || slices.Contains(match.In, value))
}

// walk follows a dotted path through objects, and arrays by index.
func walk(value any, path string) (any, bool) {
	for name := range strings.SplitSeq(path, ".") {
		switch v := value.(type) {
		case map[string]any:
			next, ok := v[name]
			if !ok {
				return nil, false
			}
			value = next
		case []any:
			i, err := strconv.Atoi(name)
			if err != nil || i < 0 || i >= len(v) {
				return nil, false
			}
			value = v[i]
		default:
			return nil, false
		}
	}
	return value, true
}

// lookUp is the text at a dotted path.
func lookUp(value any, path string) (string, bool) {
	if path == "" {
		return "", false
	}
	found, ok := walk(value, path)
	if !ok {
		return "", false
	}
	text, ok := found.(string)
	return text, ok
}

// finish fills in the deadline, from its text or from the fixed lead.
func finish(n *job.Notice, deadline string, match providers.NoticeMatch, text string, now time.Time) *job.Notice {
	n.Seen = now
	n.Text = shorten(text)
	n.Action = shorten(n.Action)
	if deadline != "" {
		layout := match.DeadlineLayout
		if layout == "" {
			layout = time.RFC3339
		}
		if at, err := time.Parse(layout, deadline); err == nil {
			n.Deadline = at
		}
	}
	if n.Deadline.IsZero() && match.Lead > 0 {
		n.Deadline = now.Add(match.Lead)
	}
	if !n.Deadline.IsZero() {
		n.Lead = job.Duration(max(0, n.Deadline.Sub(now)))
	}
	return n
}

// shorten cuts text to maxText bytes, at the border of a character, so that
// what a metadata service says cannot blow up a document.
func shorten(text string) string {
	if len(text) <= maxText {
		return strings.ToValidUTF8(text, "\uFFFD")
	}
	return strings.ToValidUTF8(text[:maxText], "") + "..."
}
