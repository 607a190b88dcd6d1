package job

// Recovery is what a run took over from the run that it recovers.
type Recovery struct {
	Run   string  `json:"run"`
	Taken []Taken `json:"taken,omitempty"`
}

// Taken is an index that had succeeded, or one that goes on from a checkpoint.
// The documents it points at are the new run's own.
type Taken struct {
	Task      string `json:"task"`
	Index     int    `json:"index"`
	Succeeded bool   `json:"succeeded,omitempty"`
	Skipped   bool   `json:"skipped,omitempty"` // its condition was false
	// Attempt of the earlier run that it was.
	Attempt    int               `json:"attempt,omitempty"`
	Output     *Manifest         `json:"output,omitempty"`
	Result     map[string]string `json:"result,omitempty"`
	Cached     *CachedFrom       `json:"cached,omitempty"`
	Checkpoint *CheckpointRef    `json:"checkpoint,omitempty"`
}
