package plan

import "github.com/spotrelay/spotrelay/runner/job"

// RunPaused: what runs is told to save and end, at no charge, every instance is
// given back, and nothing is begun until RunResumed.
type RunPaused struct {
	By string `json:"by,omitempty"`
}

func (s *State) applyPause(e Event) bool {
	switch {
	case e.RunPaused != nil:
		if !s.Paused {
			s.Paused, s.PausedAt = true, e.At
		}
		s.stopAttempts(job.CausePaused)
	case e.RunResumed != nil:
		s.Held = ""
		if s.Paused {
			s.PausedFor += max(e.At-s.PausedAt, 0)
			s.Paused, s.PausedAt = false, 0
		}
	default:
		return false
	}
	return true
}

// stands reports whether nothing is to be begun for now.
func (s *State) stands() bool { return s.Held != "" || s.Paused }

// atRest reports whether a run is paused and all that it had is given back.
func (s *State) atRest() bool {
	return s.Paused && s.Outcome == "" && len(s.Instances) == 0 && len(s.Launches) == 0
}
