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

// emptyContent is the content of an empty directory, for which the engine has
// none: "" is a content that is not known.
const emptyContent = "empty"

// ManifestRef is how documents point at a manifest of an output, a workdir or
// an input.
func ManifestRef(ref checkpointing.Ref) *job.Manifest {
	content := ref.Content
	if content == "" {
		content = emptyContent
	}
	return &job.Manifest{Key: ref.Key, Digest: ref.Digest, Bytes: ref.Bytes, Files: ref.Files, Content: content}
}
