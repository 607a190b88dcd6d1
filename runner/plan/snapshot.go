package plan

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/spotrelay/spotrelay/runner/job"
)

// Snapshot is the state as JSON, to be folded on from by Load.
func (s *State) Snapshot() ([]byte, error) {
	var all bytes.Buffer
	err := s.WriteSnapshot(&all)
	return all.Bytes(), err
}

// WriteSnapshot writes Snapshot piece by piece, so that the whole of a large run
// is never in memory twice.
func (s *State) WriteSnapshot(w io.Writer) error {
	shell := *s
	shell.Tasks = nil
	return around(w, &shell, "tasks", func() error {
		return list(w, len(s.Tasks), func(i int) error {
			indexes := s.Tasks[i].Indexes
			task := s.Tasks[i]
			task.Indexes = nil
			return around(w, &task, "indexes", func() error {
				return list(w, len(indexes), func(j int) error { return write(w, &indexes[j]) })
			})
		})
	})
}

// around writes a value whose field of that name is null, and there what inner
// writes.
func around(w io.Writer, value any, name string, inner func() error) error {
	data, err := json.Marshal(value)
	if err != nil {
		return err
	}
	// In a text the quotes would be escaped: this is the field itself.
	before, after, found := bytes.Cut(data, fmt.Appendf(nil, "%q:null", name))
	if !found {
		return fmt.Errorf("a snapshot without %s", name)
	}
	_, err = fmt.Fprintf(w, "%s%q:", before, name)
	if err = errors.Join(err, inner()); err != nil {
		return err
	}
	_, err = w.Write(after)
	return err
}

// list writes an array.
func list(w io.Writer, n int, element func(int) error) error {
	between := "["
	for i := range n {
		if _, err := io.WriteString(w, between); err != nil {
			return err
		}
		if err := element(i); err != nil {
			return err
		}
		between = ","
	}
	if n == 0 {
		between = "[]"
	} else {
		between = "]"
	}
	_, err := io.WriteString(w, between)
	return err
}

func write(w io.Writer, value any) error {
	data, err := json.Marshal(value)
	if err != nil {
		return err
	}
	_, err = w.Write(data)
	return err
}

// Load is the state that a snapshot kept, of a run with that specification.
func Load(spec *job.Spec, snapshot []byte) (*State, error) {
	s := &State{}
	if err := json.Unmarshal(snapshot, s); err != nil {
		return nil, fmt.Errorf("read the snapshot of run %s: %w", spec.Run, err)
	}
	if len(s.Tasks) != len(spec.Tasks) {
		return nil, fmt.Errorf("the snapshot of run %s has %d tasks and its specification %d: it is of another run",
			spec.Run, len(s.Tasks), len(spec.Tasks))
	}
	for i := range spec.Tasks {
		if n := len(s.Tasks[i].Indexes); n != spec.Tasks[i].Count {
			return nil, fmt.Errorf("the snapshot of run %s has %d indexes of task %s and its specification %d: it is of another run",
				spec.Run, n, spec.Tasks[i].Name, spec.Tasks[i].Count)
		}
	}
	if err := s.misnamed(); err != nil {
		return nil, fmt.Errorf("the snapshot of run %s is damaged: %w", spec.Run, err)
	}
	s.Spec = spec
	s.prepare()
	s.recount()
	return s, nil
}

// misnamed is an error when a record is missing under its name, or is another's.
func (s *State) misnamed() error {
	for id, inst := range s.Instances {
		if inst == nil || inst.ID != id {
			return fmt.Errorf("there is no instance %q under that name", id)
		}
	}
	for token, launch := range s.Launches {
		if launch == nil || launch.Token != token {
			return fmt.Errorf("there is no launch %q under that name", token)
		}
	}
	return nil
}
