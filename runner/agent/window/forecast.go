package window

import (
	"fmt"
	"time"
)

// Forecast is what a save would be if the notice came now.
type Forecast struct {
	Send, Read int64         // bytes still to send and to read
	Since      time.Duration // the last checkpoint, or the start
	Notice     time.Duration // how long the notice is; 0: not known
}

// Warning is what to tell a user whose save would not fit into the notice, ""
// when it would, or when nobody knows. Since notices are best effort, what just
// fits is not warned of.
func (f Forecast) Warning(pace Pace) string {
	takes := pace.Time(f.Send, f.Read)
	room := f.Notice - Margin(f.Notice)
	if f.Notice <= 0 || !pace.Measured || takes <= room {
		return ""
	}
	return fmt.Sprintf("%s at %s/s takes %s, the notice is %s: %s",
		Bytes(f.Send), Bytes(int64(pace.Send)), Span(takes), Span(f.Notice), f.advice(takes, room))
}

// leastAdvice is the shortest interval that is worth advising.
const leastAdvice = 5 * time.Second

// advice is what would make it fit. As much as has changed since the last
// checkpoint is taken to change in the same time again.
func (f Forecast) advice(takes, room time.Duration) string {
	every := time.Duration(0)
	if takes > Commit && room > Commit {
		every = time.Duration(float64(f.Since) * 0.8 * float64(room-Commit) / float64(takes-Commit))
	}
	if every < leastAdvice {
		return "write less at a time, or in several files one after the other, so that they are copied ahead"
	}
	return "save every " + interval(every) + " or spread it"
}

// interval is a span that people would write into a job file.
func interval(d time.Duration) string {
	switch {
	case d >= 2*time.Hour:
		return fmt.Sprintf("%d h", d/time.Hour)
	case d >= 2*time.Minute:
		return fmt.Sprintf("%d min", d/time.Minute)
	}
	return fmt.Sprintf("%d s", d/time.Second/5*5)
}

// Span is a time for people: 44 s, 3 min, 2 h.
func Span(d time.Duration) string {
	switch {
	case d < 0:
		return "0 s"
	case d < 10*time.Second:
		return fmt.Sprintf("%.1f s", d.Seconds())
	case d < 2*time.Minute:
		return fmt.Sprintf("%.0f s", d.Seconds())
	case d < 2*time.Hour:
		return fmt.Sprintf("%.0f min", d.Minutes())
	}
	return fmt.Sprintf("%.0f h", d.Hours())
}

// Bytes is a size for people: 18 GB, 1.5 MB.
func Bytes(n int64) string {
	const unit = 1000
	if n < unit {
		return fmt.Sprintf("%d bytes", n)
	}
	value, suffix := float64(n), ""
	for _, suffix = range []string{"kB", "MB", "GB", "TB", "PB"} {
		if value /= unit; value < unit {
			break
		}
	}
	if value >= 10 {
		return fmt.Sprintf("%.0f %s", value, suffix)
	}
	return fmt.Sprintf("%.1f %s", value, suffix)
}
