package view

import (
	"fmt"
	"strings"
	"time"

	"github.com/charmbracelet/lipgloss"
	"github.com/charmbracelet/x/ansi"

	"github.com/spotrelay/spotrelay/cmd/spotrelay/internal/narrate"
)

var (
	bold   = lipgloss.NewStyle().Bold(true)
	faint  = lipgloss.NewStyle().Faint(true)
	green  = lipgloss.NewStyle().Foreground(lipgloss.Color("2"))
	yellow = lipgloss.NewStyle().Foreground(lipgloss.Color("3"))
	red    = lipgloss.NewStyle().Foreground(lipgloss.Color("1"))
	cyan   = lipgloss.NewStyle().Foreground(lipgloss.Color("6"))
)

// View draws the model.
func (m Model) View() string {
	var lines []string
	lines = append(lines, m.header())
	for _, task := range m.snapshot.Tasks {
		lines = append(lines, m.task(task))
	}
	if !m.closing {
		for _, attempt := range m.snapshot.Attempts {
			lines = append(lines, m.attempt(attempt)...)
		}
		if m.snapshot.More > 0 {
			lines = append(lines, faint.Render(fmt.Sprintf("  and %d more", m.snapshot.More)))
		}
	}
	if len(m.recent) > 0 {
		lines = append(lines, "")
	}
	for _, event := range m.recent {
		lines = append(lines, faint.Render(event.At.Format(time.TimeOnly))+" "+weighted(event.Line))
	}
	if m.asking {
		lines = append(lines, "", bold.Render("Leave it running (l) or cancel it (c)?")+" Esc goes on, Ctrl-C leaves at once")
	}
	fit := lipgloss.NewStyle().Inline(true).MaxWidth(max(m.width-1, 20))
	for i := range lines {
		lines[i] = fit.Render(lines[i])
	}
	return strings.Join(lines, "\n") + "\n"
}

func (m Model) header() string {
	s := m.snapshot
	text := bold.Render(s.Job) + faint.Render(" · ") + stateStyle(string(s.State)) +
		faint.Render(" · ") + narrate.Span(m.elapsed()) + faint.Render(" · ") + narrate.Money(s.Cost)
	if s.Reason != "" {
		text += faint.Render(" · ") + s.Reason
	}
	return text + faint.Render(" · ") + s.Run // last, since a narrow terminal cuts it
}

func (m Model) elapsed() time.Duration {
	if m.snapshot.Over {
		return m.snapshot.Lived
	}
	return max(m.snapshot.Lived, m.now.Sub(m.snapshot.Created).Truncate(time.Second))
}

func stateStyle(state string) string {
	switch state {
	case "succeeded":
		return green.Render(state)
	case "failed", "cancelled":
		return red.Render(state)
	case "held", "cancelling":
		return yellow.Render(state)
	}
	return cyan.Render(state)
}

const nameWidth = 16

func (m Model) task(t Task) string {
	name := t.Name
	if lipgloss.Width(name) > nameWidth {
		name = ansi.Truncate(name, nameWidth, "…")
	}
	return fmt.Sprintf("  %-*s %s %*s  %s", nameWidth, name, m.bar(t), 9, fmt.Sprintf("%d/%d", t.Succeeded, t.Total), faint.Render(counts(t)))
}

// bar is a task's indexes as a bar: done, failed, running, and the rest.
func (m Model) bar(t Task) string {
	width := min(30, max(8, m.width-60))
	if t.Total == 0 {
		return faint.Render(strings.Repeat("·", width))
	}
	cells := func(n int) int { return n * width / t.Total }
	done, failed := cells(t.Succeeded), cells(t.Failed)
	running := min(cells(t.Running), width-done-failed)
	if t.Running > 0 && running == 0 && done+failed < width {
		running = 1
	}
	return green.Render(strings.Repeat("█", done)) + red.Render(strings.Repeat("█", failed)) +
		cyan.Render(strings.Repeat("▒", running)) + faint.Render(strings.Repeat("·", width-done-failed-running))
}

func counts(t Task) string {
	var parts []string
	add := func(n int, word string) {
		if n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, word))
		}
	}
	add(t.Running, "running")
	add(t.Waiting, "waiting")
	add(t.Blocked, "blocked")
	add(t.Failed, "failed")
	return strings.Join(parts, ", ")
}

func (m Model) attempt(a Attempt) []string {
	parts := []string{fmt.Sprintf("%s #%d", a.Name, a.ID.Attempt), "on " + a.Instance, faint.Render(a.Offer)}
	if a.Step != "" {
		parts = append(parts, fmt.Sprintf("%s %s", a.Step, narrate.Span(a.Elapsed)))
	} else {
		parts = append(parts, "assigned")
	}
	if a.Checkpoint != "" {
		parts = append(parts, "checkpoint "+a.Checkpoint)
	}
	if a.Saving {
		parts = append(parts, cyan.Render("saving"))
	}
	if a.Notice != "" {
		parts = append(parts, yellow.Render(a.Notice+m.countdown(a.Deadline)))
	}
	lines := []string{"  " + cyan.Render("▸") + " " + strings.Join(parts, faint.Render(" · "))}
	if a.LastLine != "" {
		lines = append(lines, "    "+faint.Render(a.LastLine))
	}
	return lines
}

// countdown is what is left until the instance is taken, by this machine's
// clock: near enough for people.
func (m Model) countdown(deadline time.Time) string {
	if deadline.IsZero() {
		return ""
	}
	return " in " + narrate.Span(deadline.Sub(m.now).Round(time.Second))
}

func weighted(line narrate.Line) string {
	switch line.Weight {
	case narrate.Good:
		return green.Render(line.Text)
	case narrate.Warning:
		return yellow.Render(line.Text)
	case narrate.Bad:
		return red.Render(line.Text)
	}
	return line.Text
}
