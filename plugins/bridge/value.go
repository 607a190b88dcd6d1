package bridge

import (
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// each maps a slice; none stays nil.
func each[From, To any](from []From, f func(From) To) []To {
	if len(from) == 0 {
		return nil
	}
	to := make([]To, len(from))
	for i, value := range from {
		to[i] = f(value)
	}
	return to
}

// eachValue maps the values of a map; none stays nil.
func eachValue[From, To any](from map[string]From, f func(From) To) map[string]To {
	if len(from) == 0 {
		return nil
	}
	to := make(map[string]To, len(from))
	for key, value := range from {
		to[key] = f(value)
	}
	return to
}

func toDuration(d time.Duration) *durationpb.Duration {
	if d == 0 {
		return nil
	}
	return durationpb.New(d)
}

func fromDuration(d *durationpb.Duration) time.Duration {
	return d.AsDuration()
}

func toTime(t time.Time) *timestamppb.Timestamp {
	if t.IsZero() {
		return nil
	}
	return timestamppb.New(t)
}

func fromTime(t *timestamppb.Timestamp) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.AsTime()
}

// words is text that a cloud or a machine wrote. Protobuf's strings are UTF-8
// and theirs are whatever they are.
func words(text string) string {
	return strings.ToValidUTF8(text, "\uFFFD")
}
