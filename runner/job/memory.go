package job

// mostTiers bounds how often the memory of a task is raised.
const mostTiers = 32

// MemoryTiers are the amounts of memory, in bytes, that the attempts of an index
// ask for: the task's resources first, and each next one after an attempt that
// ran out of memory. There is one, the resources', for a task whose memory is
// not raised.
func (t *Task) MemoryTiers() []int64 {
	tiers := []int64{t.Resources.Memory}
	more := t.OnOutOfMemory
	if more == nil || more.Factor <= 1 || t.Resources.Memory <= 0 {
		return tiers
	}
	for last := t.Resources.Memory; last < more.Max && len(tiers) < min(mostTiers, max(t.Retries.Attempts, 1)); {
		next := more.Max
		if raised := float64(last) * more.Factor; raised < float64(more.Max) {
			next = int64(raised)
		}
		if next <= last {
			break
		}
		tiers, last = append(tiers, next), next
	}
	return tiers
}

// WithMemory is the task as an attempt has it that asks for so much memory, in
// bytes; 0 is as the job file says. Where its memory is enforced, so is that.
func (t *Task) WithMemory(memory int64) Task {
	raised := *t
	if memory > 0 {
		raised.Resources.Memory = memory
		if raised.Execution.MemoryLimit > 0 {
			raised.Execution.MemoryLimit = memory
		}
	}
	return raised
}
