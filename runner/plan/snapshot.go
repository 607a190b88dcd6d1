package plan

import (
	"encoding/json"
	"fmt"

	"github.com/spotrelay/spotrelay/runner/job"
)

// Snapshot is the state as JSON, to be folded on from by Load.
func (s *State) Snapshot() ([]byte, error) { return json.Marshal(s) }

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
