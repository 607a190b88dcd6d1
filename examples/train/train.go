// Command train learns a model of Go source text, character by character, epoch
// by epoch, and saves itself so that it can be stopped at any moment: the final
// metric is the same, bit for bit, however often it was stopped.
//
// The model adds up one row of weights for each of the last one, two, three and
// four characters (hashed), and a softmax over the result predicts the next.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// exitSaved (EX_TEMPFAIL) says: saved, run me again.
const exitSaved = 75

func main() {
	err := run()
	switch {
	case errors.Is(err, errStopped):
		fmt.Println(err)
		os.Exit(exitSaved)
	case err != nil:
		fmt.Fprintln(os.Stderr, "train:", err)
		os.Exit(1)
	}
}

var errStopped = errors.New("stopped: saved, run me again")

// options are what a training depends on, and where it keeps its things.
type options struct {
	text       string // folder of .go files
	bytes      int    // of it that are read
	epochs     int
	step       int // characters between two looks at the signal
	checkpoint string
	output     string
	commit     bool // ask the agent to commit each epoch
}

func run() error {
	var o options
	flag.StringVar(&o.text, "text", "", "the folder whose .go files are learned; empty is strings in the Go distribution")
	flag.IntVar(&o.bytes, "bytes", 256<<10, "how much of it is read")
	flag.IntVar(&o.epochs, "epochs", 8, "how often the text is gone through")
	flag.IntVar(&o.step, "step", 2048, "characters learned between two looks at the signal")
	flag.StringVar(&o.checkpoint, "checkpoint", os.Getenv("SPOTRELAY_CHECKPOINT_DIR"), "the folder the training is saved in")
	flag.StringVar(&o.output, "output", os.Getenv("SPOTRELAY_OUTPUT_DIR"), "the folder the metric is written to")
	flag.BoolVar(&o.commit, "commit", os.Getenv("SPOTRELAY_SOCKET") != "", "commit each epoch by spotrelay-agent checkpoint save")
	flag.Parse()
	if o.checkpoint == "" || o.output == "" {
		return errors.New("-checkpoint and -output name the folders to write to")
	}
	// A notice shows itself as a signal; the step at hand is finished first.
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	return train(ctx, o)
}

func train(ctx context.Context, o options) error {
	text, err := readText(o.text, o.bytes)
	if err != nil {
		return err
	}
	cut := len(text) * 9 / 10
	learned, held := text[:cut], text[cut:]

	t, err := loadTraining(o.checkpoint)
	if err != nil {
		return err
	}
	attempt := os.Getenv("SPOTRELAY_ATTEMPT")
	fmt.Printf("attempt %s: begins at epoch %d, character %d of %d\n", attempt, t.Epoch+1, t.Position, len(learned))
	for t.Epoch < o.epochs {
		if err := t.learnEpoch(ctx, learned, o); err != nil {
			return err
		}
		t.History = append(t.History, t.model.bits(held))
		t.Epoch, t.Position = t.Epoch+1, 0
		fmt.Printf("epoch %d trained: %.6f bits per character\n", t.Epoch, t.History[t.Epoch-1])
		if err := t.save(o.checkpoint); err != nil {
			return err
		}
		if err := commit(o); err != nil {
			return err
		}
	}
	return writeMetric(o.output, t)
}

// learnEpoch goes on to the end of the text, or stops between two steps.
func (t *training) learnEpoch(ctx context.Context, text []byte, o options) error {
	for t.Position < len(text) {
		if ctx.Err() != nil {
			if err := t.save(o.checkpoint); err != nil {
				return err
			}
			return fmt.Errorf("%w (epoch %d, character %d)", errStopped, t.Epoch+1, t.Position)
		}
		end := min(t.Position+o.step, len(text))
		t.model.learn(text, t.Position, end, rate(t.Epoch))
		t.Position = end
	}
	return nil
}

// rate is the learning rate of an epoch.
func rate(epoch int) float32 { return 0.2 / float32(1+epoch) }

// commit makes what was saved a checkpoint in the bucket and waits for it.
func commit(o options) error {
	if !o.commit {
		return nil
	}
	began := time.Now()
	out, err := exec.Command("spotrelay-agent", "checkpoint", "save").CombinedOutput()
	if err != nil {
		// The agent goes on saving in the background and at a notice.
		fmt.Printf("not committed: %v: %s\n", err, strings.TrimSpace(string(out)))
		return nil
	}
	fmt.Printf("committed after %s\n", time.Since(began).Round(time.Millisecond))
	return nil
}

// metric is what a training comes to. Weights is a digest of them all.
type metric struct {
	Epochs  int       `json:"epochs"`
	Bits    float64   `json:"bits_per_character"`
	History []float64 `json:"history"`
	Weights string    `json:"weights_sha256"`
}

func writeMetric(dir string, t *training) error {
	m := metric{Epochs: t.Epoch, History: t.History, Weights: t.model.digest()}
	if t.Epoch > 0 {
		m.Bits = t.History[t.Epoch-1]
	}
	data, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return err
	}
	fmt.Printf("done: %.6f bits per character after %d epochs, weights %s\n", m.Bits, m.Epochs, m.Weights[:12])
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "metric.json"), append(data, '\n'), 0o644)
}
