// Package store is the bucket's documents: which key holds what, and how each is
// read and written. Who writes what is the contract: spec once, the journal and
// desired documents by the controller that holds the lease, status documents,
// logs, checkpoints and outputs by the agent.
package store

import (
	"fmt"
	"path"
	"strconv"
	"strings"

	"github.com/spotrelay/spotrelay/checkpointing"
	"github.com/spotrelay/spotrelay/runner/job"
)

// RunsPrefix is the prefix of all runs.
const RunsPrefix = "runs/"

// RunPrefix is the prefix of everything of a run.
func RunPrefix(run string) string { return RunsPrefix + run + "/" }

// SpecKey is the run's specification.
func SpecKey(run string) string { return RunPrefix(run) + "spec.json" }

// LeaseKey says who controls the run.
func LeaseKey(run string) string { return RunPrefix(run) + "lease.json" }

// JournalPrefix is the prefix of a run's journal.
func JournalPrefix(run string) string { return RunPrefix(run) + "journal/" }

// JournalKey is entry seq, from 1. Keys sort by sequence.
func JournalKey(run string, seq int64) string {
	return JournalPrefix(run) + fmt.Sprintf("%012d", seq)
}

// SnapshotPrefix is the prefix of a run's snapshots.
func SnapshotPrefix(run string) string { return RunPrefix(run) + "snapshots/" }

// SnapshotKey is the state folded up to and with entry seq.
func SnapshotKey(run string, seq int64) string {
	return SnapshotPrefix(run) + fmt.Sprintf("%012d", seq)
}

// InstancesPrefix is the prefix of the documents of a run's instances.
func InstancesPrefix(run string) string { return RunPrefix(run) + "instances/" }

// DesiredKey is what an instance should do.
func DesiredKey(run, instance string) string {
	return InstancesPrefix(run) + instance + "/desired.json"
}

// StatusKey is what an instance does and did.
func StatusKey(run, instance string) string {
	return InstancesPrefix(run) + instance + "/status.json"
}

// RequestsPrefix is the prefix of what users ask of a run: cancel, pause,
// resume, retry, release.
func RequestsPrefix(run string) string { return RunPrefix(run) + "requests/" }

// RequestKey is one request; id keeps those of one kind apart.
func RequestKey(run, kind, id string) string { return RequestsPrefix(run) + kind + "-" + id }

// LogPrefix is the prefix of an attempt's log.
func LogPrefix(run string, id job.AttemptID) string {
	return path.Join(RunPrefix(run)+"logs", id.Task, strconv.Itoa(id.Index), strconv.Itoa(id.Attempt)) + "/"
}

// LogKey is one part of an attempt's log, seq from 1.
func LogKey(run string, id job.AttemptID, seq int64) string {
	return LogPrefix(run, id) + logPart(seq)
}

func logPart(seq int64) string { return fmt.Sprintf("%08d", seq) }

// CheckpointPrefix is the prefix of an index's checkpoints, of the series
// without a name. Node is 0 unless it is a gang.
func CheckpointPrefix(run, task string, index, node int) string {
	return path.Join(RunPrefix(run)+"checkpoints", task, strconv.Itoa(index), strconv.Itoa(node)) + "/"
}

// SeriesPrefix is the prefix of one series of an index's checkpoints; "" is the
// name of the one that a task with a single directory has.
func SeriesPrefix(run, task string, index, node int, name string) string {
	prefix := CheckpointPrefix(run, task, index, node)
	if name == "" {
		return prefix
	}
	return strings.TrimSuffix(prefix, "/") + "-" + name + "/"
}

// SeriesOf reads the task, index, node and name of the series that a
// checkpoint's key belongs to, and whether it is such a key.
func SeriesOf(run, key string) (task string, index, node int, name string, ok bool) {
	rest, ok := strings.CutPrefix(key, RunPrefix(run)+"checkpoints/")
	parts := strings.Split(rest, "/")
	if !ok || len(parts) != 4 {
		return "", 0, 0, "", false
	}
	number, name, named := strings.Cut(parts[2], "-")
	index, errIndex := strconv.Atoi(parts[1])
	node, errNode := strconv.Atoi(number)
	ok = errIndex == nil && errNode == nil && index >= 0 && node >= 0 && named == (name != "") &&
		SeriesPrefix(run, parts[0], index, node, name)+parts[3] == key
	return parts[0], index, node, name, ok
}

// CheckpointKey is one checkpoint's manifest, of the series without a name.
func CheckpointKey(run, task string, index, node int, id checkpointing.ID) string {
	return CheckpointPrefix(run, task, index, node) + checkpointing.ManifestName(id)
}

// OutputKey is the manifest of what an attempt committed.
func OutputKey(run string, id job.AttemptID) string {
	return path.Join(RunPrefix(run)+"outputs", id.Task, strconv.Itoa(id.Index), strconv.Itoa(id.Attempt))
}

// WorkdirKey is the manifest of the files that attempts start in.
func WorkdirKey(run string) string { return RunPrefix(run) + "workdir" }

// InputsPrefix is the prefix of the manifests of a run's inputs from outside.
func InputsPrefix(run string) string { return RunPrefix(run) + "inputs/" }

// InputKey is the manifest of an input from outside.
func InputKey(run, name string) string { return InputsPrefix(run) + name }

// ImportKey says what a source held when it was imported last; id is a digest
// of the source's address.
func ImportKey(id string) string { return "imports/" + id }

// AgentKey is an agent program; digest is its SHA-256 in hex, so that programs
// of one version (a developer's, say) don't meet.
func AgentKey(version, digest, platform string) string {
	return path.Join("agents", version+"-"+digest[:12], platform, "spotrelay-agent")
}

// InstanceOf is the instance that a document's key belongs to and the
// document's name, and whether it is such a key.
func InstanceOf(run, key string) (instance, document string, ok bool) {
	rest, ok := strings.CutPrefix(key, InstancesPrefix(run))
	if !ok {
		return "", "", false
	}
	return strings.Cut(rest, "/")
}
