package submit

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"maps"
	"os"
	"slices"

	"github.com/spotrelay/spotrelay/checkpointing/bucket"
	"github.com/spotrelay/spotrelay/runner/job"
	"github.com/spotrelay/spotrelay/runner/store"
)

// publishAgents puts the agent programs into the bucket, those that are not
// there yet. Their keys hold their digests, so what is there is the same.
func publishAgents(ctx context.Context, opts Options) (map[string]job.Program, error) {
	programs := make(map[string]job.Program, len(opts.Agents))
	for _, platform := range slices.Sorted(maps.Keys(opts.Agents)) {
		program, err := publishAgent(ctx, opts.Bucket, opts.Version, platform, opts.Agents[platform])
		if err != nil {
			return nil, err
		}
		programs[platform] = program
	}
	return programs, nil
}

func publishAgent(ctx context.Context, b bucket.Bucket, version, platform, path string) (job.Program, error) {
	file, err := os.Open(path)
	if err != nil {
		return job.Program{}, &Error{Op: "submit", What: "the agent for " + platform, Err: err, Hint: "build it with make build"}
	}
	defer file.Close()
	hash := sha256.New()
	size, err := io.Copy(hash, file)
	if err != nil {
		return job.Program{}, &Error{Op: "submit", What: "the agent for " + platform, Err: err}
	}
	digest := hex.EncodeToString(hash.Sum(nil))
	program := job.Program{Key: store.AgentKey(version, digest, platform), SHA256: digest, Bytes: size}
	if there, err := published(ctx, b, program); there || err != nil {
		return program, err
	}
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return job.Program{}, &Error{Op: "submit", What: "the agent for " + platform, Err: err}
	}
	_, err = b.Put(ctx, program.Key, file, bucket.IfAbsent())
	if errors.Is(err, bucket.ErrConflict) {
		return program, nil // somebody was faster with the same
	}
	return program, err
}

func published(ctx context.Context, b bucket.Bucket, program job.Program) (bool, error) {
	for object, err := range b.List(ctx, program.Key, "") {
		if err != nil {
			return false, err
		}
		return object.Key == program.Key && object.Size == program.Bytes, nil
	}
	return false, nil
}
