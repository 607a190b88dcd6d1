// Command steps is a task that can be told from one that lost its way: each step
// depends on all before it, and the state that it keeps is checked when it goes
// on from a checkpoint. It needs nothing of the system that it runs on.
package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
)

func main() {
	steps := flag.Int("steps", 100, "how many steps to take")
	size := flag.Int("size", 1<<20, "bytes of a step's state")
	flag.Parse()
	if err := run(os.Getenv("SPOTRELAY_CHECKPOINT_DIR"), os.Getenv("SPOTRELAY_OUTPUT_DIR"), *steps, *size); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
}

func run(checkpoints, output string, steps, size int) error {
	file := filepath.Join(checkpoints, "state")
	step, sum, err := load(file, size)
	if err != nil {
		return err
	}
	fmt.Printf("step %d of %d\n", step, steps)
	for step < steps {
		step++
		sum = next(sum, step)
		if err := save(file, step, sum, size); err != nil {
			return err
		}
		// It goes on when the checkpoint is committed, however long that takes.
		if out, err := exec.Command("spotrelay-agent", "checkpoint", "save").CombinedOutput(); err != nil {
			return fmt.Errorf("saving step %d: %w\n%s", step, err, out)
		}
	}
	fmt.Printf("done: %x\n", sum)
	return os.WriteFile(filepath.Join(output, "sum.txt"), fmt.Appendf(nil, "%x\n", sum), 0o644)
}

// next is a step: a chain of hashes.
func next(sum [sha256.Size]byte, step int) [sha256.Size]byte {
	return sha256.Sum256(fmt.Appendf(nil, "%x %d", sum, step))
}

// save writes the state: the step, the chain, and bytes that follow from both,
// so that a state put together from two saves would show.
func save(file string, step int, sum [sha256.Size]byte, size int) error {
	data := binary.BigEndian.AppendUint64(nil, uint64(step))
	data = append(append(data, sum[:]...), filler(step, sum, size)...)
	if err := os.WriteFile(file+".new", data, 0o644); err != nil {
		return err
	}
	return os.Rename(file+".new", file)
}

func load(file string, size int) (step int, sum [sha256.Size]byte, err error) {
	data, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, sum, nil
	}
	if err != nil || len(data) != 8+len(sum)+size {
		return 0, sum, fmt.Errorf("the state has %d bytes: %w", len(data), err)
	}
	step = int(binary.BigEndian.Uint64(data))
	copy(sum[:], data[8:])
	if !bytes.Equal(data[8+len(sum):], filler(step, sum, size)) {
		return 0, sum, fmt.Errorf("the state of step %d is not whole", step)
	}
	return step, sum, nil
}

func filler(step int, sum [sha256.Size]byte, size int) []byte {
	seed := sum
	binary.BigEndian.PutUint64(seed[:], uint64(step))
	data := make([]byte, size)
	_, _ = rand.NewChaCha8(seed).Read(data) // never fails
	return data
}
