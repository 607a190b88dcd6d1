package store

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"path"
	"strconv"

	"github.com/spotrelay/spotrelay/checkpointing/bucket"
	"github.com/spotrelay/spotrelay/runner/job"
)

// NodeLogPrefix is the prefix of the log of one incarnation of a gang's node.
// The first of node 0 has the attempt's.
func NodeLogPrefix(run string, id job.AttemptID, node, incarnation int) string {
	attempt := strconv.Itoa(id.Attempt)
	switch {
	case incarnation > 1:
		attempt = fmt.Sprintf("%d.%d-%d", id.Attempt, node, incarnation)
	case node > 0:
		attempt = fmt.Sprintf("%d.%d", id.Attempt, node)
	}
	return path.Join(RunPrefix(run)+"logs", id.Task, strconv.Itoa(id.Index), attempt) + "/"
}

// GangManifest lists one checkpoint of each node of a gang, all of one round.
// It is written when all of them were seen to be whole; a gang goes on from
// what one lists, and from nothing else.
type GangManifest struct {
	Version int                 `json:"version"`
	Task    string              `json:"task"`
	Index   int                 `json:"index"`
	Attempt int                 `json:"attempt"` // that saved them
	Round   int64               `json:"round"`
	Nodes   []job.CheckpointRef `json:"nodes"`
}

// GangKey is where a gang manifest with that content is.
func GangKey(run string, m *GangManifest, digest string) string {
	return path.Join(RunPrefix(run)+"gangs", m.Task, strconv.Itoa(m.Index),
		fmt.Sprintf("%06d-%06d-%s", m.Attempt, m.Round, digest[:min(len(digest), 12)]))
}

// CommitGang writes a gang manifest, once: its key is made from its content. It
// may be repeated. Errors are the bucket's.
func CommitGang(ctx context.Context, b bucket.Bucket, run string, m GangManifest) (*job.CheckpointRef, error) {
	m.Version = job.SpecVersion
	data, err := json.Marshal(m)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(data)
	ref := &job.CheckpointRef{Attempt: m.Attempt, Sequence: m.Round, Digest: hex.EncodeToString(sum[:])}
	ref.Key = GangKey(run, &m, ref.Digest)
	contents := sha256.New()
	for i := range m.Nodes {
		ref.Bytes += m.Nodes[i].Bytes
		fmt.Fprintln(contents, m.Nodes[i].Content)
	}
	ref.Content = hex.EncodeToString(contents.Sum(nil))
	if _, err := b.Put(ctx, ref.Key, bytes.NewReader(data), bucket.Condition{}); err != nil {
		return nil, err
	}
	return ref, nil
}

// ReadGang reads a gang manifest. Errors: bucket.ErrNotFound, ErrVersion,
// ErrCorrupt. May be repeated.
func ReadGang(ctx context.Context, b bucket.Bucket, key string) (GangManifest, error) {
	m, _, err := read[GangManifest](ctx, b, key)
	return m, err
}
