package main

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// training is everything that a stopped training goes on from.
type training struct {
	Epoch    int       `json:"epoch"`    // finished ones
	Position int       `json:"position"` // characters learned of the next one
	History  []float64 `json:"history"`  // bits per character after each epoch

	model *model
}

// stateFile holds a training: a header's length, the header as JSON, the
// weights. It is one file, so that one rename replaces it whole.
const stateFile = "training.bin"

// loadTraining reads what was saved in dir, or begins anew where nothing was.
func loadTraining(dir string) (*training, error) {
	t := &training{model: newModel()}
	data, err := os.ReadFile(filepath.Join(dir, stateFile))
	if errors.Is(err, fs.ErrNotExist) {
		return t, nil
	}
	if err != nil {
		return nil, err
	}
	if len(data) < 4 {
		return nil, fmt.Errorf("%s is too short", stateFile)
	}
	size := int(binary.LittleEndian.Uint32(data))
	rest := data[4:]
	if size > len(rest) || len(rest)-size != 4*len(t.model.weights) {
		return nil, fmt.Errorf("%s has the wrong size", stateFile)
	}
	if err := json.Unmarshal(rest[:size], t); err != nil {
		return nil, fmt.Errorf("%s: %w", stateFile, err)
	}
	for i := range t.model.weights {
		t.model.weights[i] = math.Float32frombits(binary.LittleEndian.Uint32(rest[size+4*i:]))
	}
	return t, nil
}

// save writes the training beside dir and renames it into place, so that a
// reader finds the old one or the new one, whole.
func (t *training) save(dir string) error {
	header, err := json.Marshal(t)
	if err != nil {
		return err
	}
	data := binary.LittleEndian.AppendUint32(nil, uint32(len(header)))
	data = append(append(data, header...), weightBytes(t.model.weights)...)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	temporary := filepath.Clean(dir) + ".saving"
	if err := os.WriteFile(temporary, data, 0o644); err != nil {
		return err
	}
	return os.Rename(temporary, filepath.Join(dir, stateFile))
}

func weightBytes(weights []float32) []byte {
	data := make([]byte, 0, 4*len(weights))
	for _, w := range weights {
		data = binary.LittleEndian.AppendUint32(data, math.Float32bits(w))
	}
	return data
}

// readText joins the .go files of a folder, in order, up to a number of bytes.
func readText(dir string, size int) ([]byte, error) {
	if dir == "" {
		out, err := exec.Command("go", "env", "GOROOT").Output()
		if err != nil {
			return nil, fmt.Errorf("asking go for its root: %w", err)
		}
		dir = filepath.Join(strings.TrimSpace(string(out)), "src", "strings")
	}
	names, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		return nil, err
	}
	slices.Sort(names)
	var text []byte
	for _, name := range names {
		data, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		text = append(text, data...)
		if len(text) >= size {
			return text[:size], nil
		}
	}
	if len(text) < 1000 {
		return nil, fmt.Errorf("only %d bytes of .go files in %s", len(text), dir)
	}
	return text, nil
}
