package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"path"
	"strings"
)

// attemptList is what attempts --json prints, as far as it is looked at.
type attemptList struct {
	Attempts []struct {
		Attempt int    `json:"attempt"`
		Class   string `json:"class"`
		Charge  string `json:"charge"`
		Final   bool   `json:"final"`
		Offer   struct {
			Capacity string `json:"capacity"`
		} `json:"offer"`
		Restored *struct {
			Key string `json:"key"`
		} `json:"restored"`
	} `json:"attempts"`
}

// checkRestored wants each attempt to have gone on from the newest checkpoint
// that an earlier one had committed; committed are their keys, which sort by
// attempt and sequence.
func (l attemptList) checkRestored(committed []string) error {
	for _, a := range l.Attempts {
		newest := ""
		for _, key := range committed {
			var attempt int
			var sequence int64
			if _, err := fmt.Sscanf(path.Base(key), "%d-%d", &attempt, &sequence); err != nil {
				return fmt.Errorf("%s is no name of a checkpoint: %w", key, err)
			}
			if attempt < a.Attempt {
				newest = max(newest, key)
			}
		}
		restored := ""
		if a.Restored != nil {
			restored = a.Restored.Key
		}
		if restored != newest {
			return fmt.Errorf("attempt %d went on from %q, and %q was committed", a.Attempt, restored, newest)
		}
	}
	return nil
}

// check wants three preempted attempts and a final one on-demand.
func (l attemptList) check() error {
	if len(l.Attempts) != 4 {
		return fmt.Errorf("%d attempts, not 4", len(l.Attempts))
	}
	for _, a := range l.Attempts[:3] {
		if a.Class != "preempted" || a.Charge != "preemptions" || a.Offer.Capacity != "spot" {
			return fmt.Errorf("attempt %d on %s was %s and charged to %s", a.Attempt, a.Offer.Capacity, a.Class, a.Charge)
		}
	}
	if last := l.Attempts[3]; last.Class != "succeeded" || last.Offer.Capacity != "on-demand" || !last.Final {
		return fmt.Errorf("the last attempt on %s was %s", last.Offer.Capacity, last.Class)
	}
	return nil
}

// history is what the attempts wrote of their epochs.
type history struct {
	attempts []attemptHistory
}

type attemptHistory struct {
	attempt   int
	begins    int   // epoch, from 1
	trained   []int // epochs
	committed []int // epochs
}

func readHistory(log []byte) (*history, error) {
	h := &history{}
	lines := bufio.NewScanner(bytes.NewReader(log))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var line struct {
			Attempt int    `json:"attempt"`
			Line    string `json:"line"`
		}
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
			return nil, err
		}
		h.add(line.Attempt, line.Line)
	}
	return h, lines.Err()
}

func (h *history) add(attempt int, line string) {
	if len(h.attempts) == 0 || h.attempts[len(h.attempts)-1].attempt != attempt {
		h.attempts = append(h.attempts, attemptHistory{attempt: attempt})
	}
	a := &h.attempts[len(h.attempts)-1]
	var number, epoch int
	switch {
	case scan(line, "attempt %d: begins at epoch %d,", &number, &epoch):
		a.begins = epoch
	case scan(line, "epoch %d trained:", &epoch):
		a.trained = append(a.trained, epoch)
	case strings.HasPrefix(line, "committed after") && len(a.trained) > 0:
		a.committed = append(a.committed, a.trained[len(a.trained)-1])
	}
}

func scan(line, format string, values ...any) bool {
	n, err := fmt.Sscanf(line, format, values...)
	return err == nil && n == len(values)
}

// check wants each attempt to begin behind the last epoch that was committed
// before, and no epoch trained again that had been committed.
func (h *history) check() error {
	last := 0
	for _, a := range h.attempts {
		if a.begins <= last {
			return fmt.Errorf("attempt %d began at epoch %d again, though epoch %d was committed", a.attempt, a.begins, last)
		}
		for _, epoch := range a.committed {
			last = max(last, epoch)
		}
	}
	if last == 0 {
		return fmt.Errorf("no epoch was committed")
	}
	return nil
}

// summary says what was trained and what was lost.
func (h *history) summary() string {
	times := map[int]int{}
	epochs := 0
	for _, a := range h.attempts {
		for _, epoch := range a.trained {
			times[epoch]++
			epochs = max(epochs, epoch)
		}
	}
	var again []string
	for epoch := 1; epoch <= epochs; epoch++ {
		if times[epoch] > 1 {
			again = append(again, fmt.Sprint(epoch))
		}
	}
	text := fmt.Sprintf("no committed epoch of %d was lost in %d attempts", epochs, len(h.attempts))
	if len(again) > 0 {
		text += "; trained again, since it had not been committed: epoch " + strings.Join(again, ", ")
	}
	return text
}
