package main

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestWarnings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		to := newWarnings(&out)
		log := slog.New(warningHandler{to: to}).With("run", "01k", "fleet", "local")
		full := errors.New("no space left\non the device")

		log.Info("routine")
		log.Warn("the journal cannot be written for now", "error", full)
		log.Warn("the journal cannot be written for now", "error", full)
		want := "warning: the journal cannot be written for now (fleet local): no space left on the device\n"
		if out.String() != want {
			t.Errorf("it says %q", out.String())
		}
		log.Warn("the journal cannot be written for now", "error", errors.New("permission denied"))
		if strings.Count(out.String(), "\n") != 2 {
			t.Errorf("another fault is not said: %q", out.String())
		}
		pass := func() { <-time.After(warningPause) } // by the bubble's clock
		pass()
		log.Warn("the journal cannot be written for now", "error", full)
		if strings.Count(out.String(), "\n") != 3 {
			t.Errorf("what lasts is not said again: %q", out.String())
		}

		queue, done := to.show()
		log.Error("plugin lost", "plugin", "aws")
		if text := <-queue; text != "warning: plugin lost (fleet local, plugin aws)" {
			t.Errorf("the display gets %q", text)
		}
		for range 100 { // nobody reads
			pass()
			log.Error("plugin lost")
		}
		done()
		before := out.Len()
		log.Warn("after the display")
		if out.Len() == before {
			t.Error("nothing is said after the display has ended")
		}
	})
}
