package gcp

import (
	"crypto/sha256"
	"encoding/base32"
	"encoding/json"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Tags become labels. A label's key and value have at most 63 characters out of
// a-z, 0-9, - and _, a key begins with a letter
// (https://cloud.google.com/compute/docs/labeling-resources#requirements), and
// tags know no such rule. So the mapping is written such that it can be undone:
//
//	plain      lower-case letters, digits and hyphens stand for themselves
//	_a         is A; __ is _; _046 is the byte 46 in decimal
//	_-u...     the whole text in upper case
//	_-h...     a text that is too long, by its hash; the tag itself is in the
//	           metadata item spotrelay-tags
//	x_-...     a key that would not begin with a letter
//
// What no label can hold, and beyond maxLabels, is in that metadata item alone.
const (
	maxLabel  = 63
	maxLabels = 60 // Compute's are 64

	digestLabel = "spotrelay-digest" // of the launch request, not a tag
	tagsItem    = "spotrelay-tags"
)

var (
	plainLabel = regexp.MustCompile(`^[a-z0-9-]{0,63}$`)
	upperLabel = regexp.MustCompile(`^[A-Z0-9-]*[A-Z][A-Z0-9-]*$`)
)

// labelValue is a tag's value as a label's; whole says that it can be undone.
func labelValue(text string) (label string, whole bool) {
	if plainLabel.MatchString(text) {
		return text, true
	}
	label = escape(text)
	if upperLabel.MatchString(text) && len(text) < len(label) {
		label = "_-u" + strings.ToLower(text)
	}
	if len(label) <= maxLabel {
		return label, true
	}
	sum := sha256.Sum256([]byte(text))
	return "_-h" + strings.ToLower(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(sum[:])), false
}

// labelKey is a tag's key as a label's; false when no label can hold it.
func labelKey(text string) (string, bool) {
	label := text
	if !plainLabel.MatchString(text) {
		label = escape(text)
	}
	if label == "" || label[0] < 'a' || label[0] > 'z' {
		label = "x_-" + label
	}
	return label, len(label) <= maxLabel && label != digestLabel
}

func escape(text string) string {
	var s strings.Builder
	for i := range len(text) {
		switch c := text[i]; {
		case c >= 'a' && c <= 'z', c >= '0' && c <= '9', c == '-':
			s.WriteByte(c)
		case c >= 'A' && c <= 'Z':
			s.WriteByte('_')
			s.WriteByte(c + 'a' - 'A')
		case c == '_':
			s.WriteString("__")
		default:
			s.WriteByte('_')
			s.WriteString(strconv.Itoa(1000 + int(c))[1:])
		}
	}
	return s.String()
}

// tagValue undoes labelValue; false for a hash and for what is not ours.
func tagValue(label string) (string, bool) {
	switch {
	case strings.HasPrefix(label, "_-u"):
		return strings.ToUpper(label[3:]), true
	case strings.HasPrefix(label, "_-"):
		return "", false
	}
	return unescape(label)
}

func tagKey(label string) (string, bool) { return unescape(strings.TrimPrefix(label, "x_-")) }

func unescape(label string) (string, bool) {
	var s strings.Builder
	for i := 0; i < len(label); i++ {
		if label[i] != '_' {
			s.WriteByte(label[i])
			continue
		}
		if i++; i == len(label) {
			return "", false
		}
		switch c := label[i]; {
		case c == '_':
			s.WriteByte('_')
		case c >= 'a' && c <= 'z':
			s.WriteByte(c - 'a' + 'A')
		default:
			if i+3 > len(label) {
				return "", false
			}
			n, err := strconv.ParseUint(label[i:i+3], 10, 8)
			if err != nil {
				return "", false
			}
			s.WriteByte(byte(n))
			i += 2
		}
	}
	return s.String(), true
}

// labelsOf turns tags into labels, and says which tags they do not hold whole.
func labelsOf(tags map[string]string) (labels, rest map[string]string) {
	labels, rest = map[string]string{}, map[string]string{}
	// Ours first, then by name, so that the same labels come of the same tags.
	keys := slices.SortedFunc(maps.Keys(tags), func(a, b string) int {
		ours := func(key string) int {
			if strings.HasPrefix(key, "spotrelay-") {
				return 0
			}
			return 1
		}
		if ours(a) != ours(b) {
			return ours(a) - ours(b)
		}
		return strings.Compare(a, b)
	})
	for _, key := range keys {
		label, ok := labelKey(key)
		if !ok || len(labels) == maxLabels {
			rest[key] = tags[key]
			continue
		}
		value, whole := labelValue(tags[key])
		labels[label] = value
		if !whole {
			rest[key] = tags[key]
		}
	}
	return labels, rest
}

// tagsOf undoes labelsOf, as far as the labels go; more says that the metadata
// have the rest.
func tagsOf(labels map[string]string) (tags map[string]string, more bool) {
	tags = map[string]string{}
	for label, value := range labels {
		if label == digestLabel {
			continue
		}
		key, ok := tagKey(label)
		text, whole := tagValue(value)
		switch {
		case !ok:
		case whole:
			tags[key] = text
		case strings.HasPrefix(value, "_-h"):
			more = true
		}
	}
	return tags, more || labels[restLabel] != ""
}

// restLabel marks an instance that has tags in its metadata which no label
// stands for.
const restLabel = "spotrelay-more-tags"

// encodeRest is the metadata item of the tags that labels do not hold.
func encodeRest(rest map[string]string) (string, error) {
	data, err := json.Marshal(rest)
	return string(data), err
}

// bears reports whether an instance's tags have all of the wanted ones.
func bears(tags, wanted map[string]string) bool {
	for key, text := range wanted {
		if have, ok := tags[key]; !ok || have != text {
			return false
		}
	}
	return true
}
