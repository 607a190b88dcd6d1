package store

import (
	"github.com/spotrelay/spotrelay/checkpointing"
	"github.com/spotrelay/spotrelay/runner/job"
)

// CheckpointRef is how documents point at a checkpoint.
func CheckpointRef(ref checkpointing.Ref) *job.CheckpointRef {
	return &job.CheckpointRef{
		Key: ref.Key, Attempt: ref.ID.Attempt, Sequence: ref.ID.Sequence,
		Digest: ref.Digest, Content: ref.Content, Bytes: ref.Bytes,
	}
}
