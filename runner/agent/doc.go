// Package agent is the program that runs on an instance. It reconciles
// processes against one document (desired), reports in another (status),
// watches for the interruption notice, and commits checkpoints and outputs.
//
// It decides nothing about a run: what it hands back of an ended attempt is
// evidence. It never gives up a task because the bucket cannot be reached, and
// holds results until they are delivered.
//
// Which ends save a checkpoint: exit 0, exit 75, a notice, a stop of the
// operating system, a cancel, a timeout, an orphaned run. A task that fails by
// itself, or is killed by somebody else, keeps its last periodic checkpoint:
// what a crash leaves in the directory may be half written.
package agent
