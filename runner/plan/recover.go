package plan

// takeOver begins a run with what it takes over from an earlier one. An index
// that had succeeded has succeeded, without an attempt. One with a checkpoint
// asks for the newest before its first attempt, as after one that failed.
func (s *State) takeOver() {
	recovery := s.Spec.Recovery
	if recovery == nil {
		return
	}
	place := make(map[string]int, len(s.Spec.Tasks))
	for i := range s.Spec.Tasks {
		place[s.Spec.Tasks[i].Name] = i
	}
	for i := range recovery.Taken {
		taken := &recovery.Taken[i]
		task, ok := place[taken.Task]
		if !ok || taken.Index < 0 || taken.Index >= len(s.Tasks[task].Indexes) {
			continue
		}
		x := &s.Tasks[task].Indexes[taken.Index]
		x.Checkpoint = taken.Checkpoint
		if taken.Succeeded {
			from := recovery.From(taken)
			x.Phase, x.Output, x.Result, x.Cached, x.Recovered = IndexSucceeded, taken.Output, taken.Result, taken.Cached, &from
		}
	}
}
