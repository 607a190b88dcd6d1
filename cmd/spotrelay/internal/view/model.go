package view

import (
	"time"

	tea "github.com/charmbracelet/bubbletea"

	"github.com/spotrelay/spotrelay/cmd/spotrelay/internal/narrate"
)

// Answer is what the user wants when asked on Ctrl-C.
type Answer int

// The answers.
const (
	Leave  Answer = iota // leave it running in the background
	Cancel               // cancel it, and stay
	Quit                 // leave at once
)

// Event is a line of news for the view.
type Event struct {
	At   time.Time
	Line narrate.Line
}

// recentLines is how many lines of news are shown.
const recentLines = 8

// Model is the view's bubbletea model. Send it Snapshot and Event messages.
type Model struct {
	width     int
	snapshot  Snapshot
	recent    []Event
	asking    bool
	cancelled bool
	closing   bool
	now       time.Time
	answer    func(Answer)
}

// New is a model that calls answer with what the user wants; it must not block.
func New(first Snapshot, answer func(Answer)) Model {
	return Model{width: 80, snapshot: first, answer: answer, now: time.Now()}
}

// closeMsg draws a last time and ends the program.
type closeMsg struct{}

// Close is the message that ends the view with its last picture left standing.
func Close() tea.Msg { return closeMsg{} }

type clockMsg time.Time

func clock() tea.Cmd {
	return tea.Tick(200*time.Millisecond, func(t time.Time) tea.Msg { return clockMsg(t) })
}

// Init starts the clock that moves countdowns.
func (m Model) Init() tea.Cmd { return clock() }

// Update takes a message in.
func (m Model) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	switch msg := msg.(type) {
	case tea.WindowSizeMsg:
		m.width = msg.Width
	case Snapshot:
		m.snapshot = msg
	case Event:
		m.recent = append(m.recent, msg)
		m.recent = m.recent[max(0, len(m.recent)-recentLines):]
	case clockMsg:
		m.now = time.Time(msg)
		return m, clock()
	case closeMsg:
		m.closing, m.asking = true, false
		return m, tea.Quit
	case tea.KeyMsg:
		return m.key(msg.String())
	}
	return m, nil
}

func (m Model) key(key string) (tea.Model, tea.Cmd) {
	if key == "ctrl+c" {
		if m.asking || m.cancelled {
			m.answer(Quit)
			return m, nil
		}
		m.asking = true
		return m, nil
	}
	if !m.asking {
		return m, nil
	}
	switch key {
	case "l":
		m.answer(Leave)
	case "c":
		m.answer(Cancel)
		m.cancelled = true
	case "esc", "n":
	default:
		return m, nil
	}
	m.asking = false
	return m, nil
}
