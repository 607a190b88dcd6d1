// Command demo runs the train example through its interruptions, prints the
// table of attempts, and checks what was promised: no committed epoch is lost,
// and the final metric is that of a training that nothing interrupted.
package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

func main() {
	spotrelay := flag.String("spotrelay", "bin/spotrelay", "the program to run the job with")
	source := flag.String("source", "examples/train", "the folder of the example")
	work := flag.String("work", "bin/demo", "the folder to work in; it is emptied first")
	epochs := flag.String("epochs", "9", "how many epochs to train")
	flag.Parse()
	d := demo{spotrelay: *spotrelay, source: *source, work: *work, epochs: *epochs}
	if err := d.run(); err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

type demo struct {
	spotrelay, source, work, epochs string
}

func (d demo) run() error {
	if err := d.prepare(); err != nil {
		return err
	}
	began := time.Now()
	job := filepath.Join(d.source, "train.hcl")
	if err := d.show(d.spotrelay, "run", job, "-var", "epochs="+d.epochs); err != nil {
		return fmt.Errorf("the run did not succeed: %w", err)
	}
	took := time.Since(began)

	fmt.Println()
	if err := d.show(d.spotrelay, "attempts", "last"); err != nil {
		return err
	}
	fmt.Println()
	var attempts attemptList
	if err := d.ask(&attempts, "attempts", "last", "train"); err != nil {
		return err
	}
	if err := attempts.check(); err != nil {
		return err
	}
	committed, err := d.committed()
	if err != nil {
		return err
	}
	if err := attempts.checkRestored(committed); err != nil {
		return err
	}
	log, err := d.output("logs", "last", "train", "--json")
	if err != nil {
		return err
	}
	history, err := readHistory(log)
	if err != nil {
		return err
	}
	if err := history.check(); err != nil {
		return err
	}
	fmt.Println(history.summary())
	if err := d.compare(); err != nil {
		return err
	}
	fmt.Printf("the run took %s\n", took.Round(100*time.Millisecond))
	return nil
}

func (d *demo) prepare() error {
	var err error
	if d.work, err = filepath.Abs(d.work); err != nil {
		return err
	}
	if d.spotrelay, err = filepath.Abs(d.spotrelay); err != nil {
		return err
	}
	if err := os.RemoveAll(d.work); err != nil {
		return err
	}
	if err := os.MkdirAll(d.work, 0o755); err != nil {
		return err
	}
	return os.Setenv("SPOTRELAY_BUCKET", "file://"+filepath.ToSlash(filepath.Join(d.work, "bucket")))
}

// committed are the keys of the checkpoints in the bucket, which is a folder.
func (d demo) committed() ([]string, error) {
	bucket := filepath.Join(d.work, "bucket")
	files, err := filepath.Glob(filepath.Join(bucket, "runs", "*", "checkpoints", "train", "0", "0", "*"))
	if err != nil {
		return nil, err
	}
	if len(files) == 0 {
		return nil, errors.New("no checkpoint was committed")
	}
	keys := make([]string, len(files))
	for i, file := range files {
		key, err := filepath.Rel(bucket, file)
		if err != nil {
			return nil, err
		}
		keys[i] = filepath.ToSlash(key)
	}
	return keys, nil
}

// compare trains once more with nothing in between, and compares the metrics
// byte by byte.
func (d demo) compare() error {
	fetched := filepath.Join(d.work, "interrupted")
	if _, err := d.output("outputs", "last", "train", "--to", fetched); err != nil {
		return err
	}
	program := filepath.Join(d.work, "train")
	if err := d.show("go", "build", "-o", program, "./"+filepath.ToSlash(d.source)); err != nil {
		return err
	}
	calm := filepath.Join(d.work, "calm")
	cmd := exec.Command(program, "-epochs", d.epochs, "-checkpoint", filepath.Join(d.work, "ckpt"), "-output", calm)
	cmd.Stderr = os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("the uninterrupted training: %w", err)
	}
	got, err := os.ReadFile(filepath.Join(fetched, "metric.json"))
	if err != nil {
		return err
	}
	want, err := os.ReadFile(filepath.Join(calm, "metric.json"))
	if err != nil {
		return err
	}
	if !bytes.Equal(got, want) {
		return fmt.Errorf("the metrics differ:\ninterrupted %s\nuninterrupted %s", got, want)
	}
	var m struct {
		Bits    float64 `json:"bits_per_character"`
		Weights string  `json:"weights_sha256"`
	}
	if err := json.Unmarshal(got, &m); err != nil {
		return err
	}
	fmt.Printf("the metric is that of an uninterrupted training, bit for bit: %v bits per character, weights %.12s\n", m.Bits, m.Weights)
	return nil
}

// show runs a program before the user's eyes.
func (d demo) show(name string, args ...string) error {
	cmd := exec.Command(name, args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	return cmd.Run()
}

func (d demo) output(args ...string) ([]byte, error) {
	cmd := exec.Command(d.spotrelay, args...)
	cmd.Stderr = os.Stderr
	return cmd.Output()
}

func (d demo) ask(into any, args ...string) error {
	data, err := d.output(append(args, "--json")...)
	if err != nil {
		return err
	}
	return json.Unmarshal(data, into)
}
