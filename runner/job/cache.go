package job

// Cache lets the outputs of a task be used again by whoever would compute the
// same: command, environment, named files of the workdir, inputs, image,
// resources that change results, and Version go into the key.
type Cache struct {
	Version string `json:"version"`
	// Files is the digest of the files of the workdir that the task reads, with
	// their names and modes, and Paths are the globs that named them.
	Files string   `json:"files"`
	Paths []string `json:"paths,omitempty"`
	// Serialize: of equal work at the same time, in any run, one computes and
	// the others wait for it.
	Serialize bool `json:"serialize,omitempty"`
	// Skip: do not look (run --no-cache), but keep what is computed.
	Skip bool `json:"skip,omitempty"`
	// Overwrite: replace what is there (run --overwrite-cache).
	Overwrite bool `json:"overwrite,omitempty"`
}

// CachedFrom is the attempt that computed what an index was spared.
type CachedFrom struct {
	Key     string `json:"key"` // of the cache entry
	Run     string `json:"run"`
	Task    string `json:"task"`
	Index   int    `json:"index"`
	Attempt int    `json:"attempt"`
}

// CacheClaim says who computes what others wait for: an index of a run.
type CacheClaim struct {
	Run   string `json:"run"`
	Task  string `json:"task"`
	Index int    `json:"index"`
}

// CacheMiss is why an index was not looked up with success, where that is more
// than that nothing was there.
type CacheMiss struct {
	Key string `json:"key"`
	// Reason in one sentence for people: the entry is damaged, the bucket did
	// not answer.
	Reason string `json:"reason"`
	// Damaged: what is there under the key cannot be used, and is replaced.
	Damaged bool `json:"damaged,omitempty"`
}
