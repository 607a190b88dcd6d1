package main

import (
	"context"
	"encoding/json"
	"strings"

	"github.com/spotrelay/spotrelay/cmd/spotrelay/internal/watch"
	"github.com/spotrelay/spotrelay/runner/plan"
)

// streamDisplay prints each event as one line of JSON.
type streamDisplay struct {
	app *app
	run string
}

// eventJSON is a line of run --json and attach --json. Event is the journal's
// name of it with dashes; Data is the event as the journal has it.
type eventJSON struct {
	Version int             `json:"version"`
	Event   string          `json:"event"`
	Run     string          `json:"run"`
	Seq     int64           `json:"sequence,omitempty"`
	At      float64         `json:"at_seconds"`
	Text    string          `json:"text,omitempty"`
	Data    json.RawMessage `json:"data,omitempty"`
}

// startedJSON is the first line of run --json and attach --json.
type startedJSON struct {
	Version int    `json:"version"`
	Event   string `json:"event"` // run-started
	Run     string `json:"run"`
	Job     string `json:"job"`
	Bucket  string `json:"bucket"`

	Recovers *recoversJSON `json:"recovers,omitempty"`
}

// endedJSON is the last line of run --json and attach --json.
type endedJSON struct {
	Version int           `json:"version"`
	Event   string        `json:"event"` // run-ended; run-left when it goes on without this process
	Run     string        `json:"run"`
	State   plan.RunState `json:"state"`
	Reason  string        `json:"reason,omitempty"`
	Lived   float64       `json:"lived_seconds"`
	Cost    float64       `json:"cost_dollars"`
	Indexes indexesJSON   `json:"indexes"`
	Exit    int           `json:"exit"`
}

// warningJSON is a warning among the lines of run --json and attach --json. It
// is of this process, not of the journal.
type warningJSON struct {
	Version int    `json:"version"`
	Event   string `json:"event"` // warning
	Run     string `json:"run"`
	Text    string `json:"text"`
}

func (d streamDisplay) happened(h watch.Happening) error {
	name, data, err := eventData(h.Event)
	if err != nil {
		return err
	}
	return d.app.printJSON(eventJSON{
		Version: jsonVersion, Event: name, Run: d.run, Seq: h.Seq, At: h.Event.At.Seconds(), Text: h.Line.Text, Data: data,
	})
}

func (d streamDisplay) warned(text string) error {
	return d.app.printJSON(warningJSON{Version: jsonVersion, Event: "warning", Run: d.run, Text: text})
}

func (streamDisplay) tick(context.Context, *watch.Watcher) error { return nil }
func (streamDisplay) choices() <-chan choice                     { return nil }
func (streamDisplay) close()                                     {}

// eventData takes an event's JSON apart: its name and what it holds. The
// journal's run_ended is called run-outcome, since instances may still live
// then; run-ended is the last line.
func eventData(event plan.Event) (name string, data json.RawMessage, err error) {
	text, err := json.Marshal(event)
	if err != nil {
		return "", nil, err
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(text, &fields); err != nil {
		return "", nil, err
	}
	for key, value := range fields {
		if key == "at" {
			continue
		}
		name, data = strings.ReplaceAll(key, "_", "-"), value
	}
	switch name {
	case "":
		name = "unknown"
	case "run-ended":
		name = "run-outcome"
	}
	return name, data, nil
}
