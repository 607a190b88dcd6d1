package main

import (
	"context"
	"fmt"
	"io"

	"github.com/spotrelay/spotrelay/runner/job"
	"github.com/spotrelay/spotrelay/runner/plan"
	"github.com/spotrelay/spotrelay/runner/store"
)

// nodeLogs prints what the bucket holds of the log of one node of a gang, each
// of its incarnations. An attempt that is none has node 0 alone.
func (r *logReader) nodeLogs(ctx context.Context, id job.AttemptID, record plan.AttemptRecord, out io.Writer) error {
	node, incarnations := r.flags.node, 1
	if node >= max(len(record.Nodes), 1) {
		return wrongCall(fmt.Sprintf("attempt %d has %d nodes, from 0 on", id.Attempt, max(len(record.Nodes), 1)), "there is no node %d", node)
	}
	if len(record.Nodes) > 0 {
		incarnations = record.Nodes[node].Incarnation
	}
	for i := 1; i <= incarnations; i++ {
		if err := store.ReadLogAt(ctx, r.bucket, store.NodeLogPrefix(r.run, id, node, i), out); err != nil {
			return err
		}
	}
	return nil
}
