package job

// IsGang reports whether an attempt of the task has several nodes, each on an
// instance of its own.
func (t *Task) IsGang() bool { return t.Nodes > 1 }

// Whole reports whether the addresses of all nodes are there.
func (g *GangPart) Whole() bool {
	if len(g.Addresses) != g.Nodes {
		return false
	}
	for _, address := range g.Addresses {
		if address == "" {
			return false
		}
	}
	return true
}

// A node of a gang numbers its saves by incarnation and round, so that saves
// of one round are found on all nodes by their numbers alone: the nth interval
// since the start is round n, whether or not the save of another interval was
// left out. The saves after the command has ended are all of the last round,
// however many intervals there were.
const (
	gangRounds = 1_000_000
	// LastRound is that of the saves after the command has ended.
	LastRound = 900_000
)

// GangSequence is the number of a node's save. A try to save again in the last
// round is a number further.
func GangSequence(incarnation int, round int64) int64 {
	return int64(max(incarnation, 1)-1)*gangRounds + min(max(round, 1), gangRounds-1)
}

// GangRound is the round of a node's save.
func GangRound(sequence int64) int64 { return min(sequence%gangRounds, LastRound) }
