package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/spotrelay/spotrelay/cmd/spotrelay/internal/watch"
)

// plainDisplay prints one line for each event that matters, with the time.
type plainDisplay struct{ out io.Writer }

func (d plainDisplay) happened(h watch.Happening) error {
	if h.Line.Text != "" {
		fmt.Fprintf(d.out, "%s %s\n", time.Now().Format(time.TimeOnly), h.Line.Text)
	}
	return nil
}

func (d plainDisplay) warned(text string) error {
	fmt.Fprintf(d.out, "%s %s\n", time.Now().Format(time.TimeOnly), text)
	return nil
}

func (plainDisplay) tick(context.Context, *watch.Watcher) error { return nil }
func (plainDisplay) choices() <-chan choice                     { return nil }
func (plainDisplay) close()                                     {}
