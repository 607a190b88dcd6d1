package jobspec

import (
	"fmt"

	"github.com/spotrelay/spotrelay/runner/job"
)

// mostNodes bounds a gang: each of its nodes is told the addresses of all.
const mostNodes = 512

// readGang reads nodes and on_node_loss, and reports what does not go with them.
func (l *loader) readGang(t *task, s scope, task *job.Task, block *content) {
	nodes := l.setting(taskSchema, "nodes", s, t.c)
	loss := l.setting(taskSchema, "on_node_loss", s, t.c)
	number, ok := nodes.whole(1, mostNodes)
	if !ok {
		return
	}
	text, _ := loss.text()
	if number == 1 {
		if loss.given() {
			l.report(report{at: t.c.attrs["on_node_loss"].NameRange, summary: "on_node_loss without nodes",
				detail: "on_node_loss says what becomes of a gang, and the task is none. Give it nodes = 2 or more, or remove on_node_loss."})
		}
		return
	}
	task.Nodes = number
	if job.NodeLoss(text) == job.NodeLossReplace {
		task.OnNodeLoss = job.NodeLossReplace
	}
	at := nodes.where
	if task.Slots > 1 {
		l.report(report{at: at, summary: "A gang's node has an instance of its own",
			detail: fmt.Sprintf("nodes = %d puts each node on an instance of its own, but slots = %d lets attempts share one. Remove one of them.", number, task.Slots)})
	}
	if c := task.Execution.Checkpoint; c != nil && c.Method == job.CheckpointCRIU {
		l.report(report{at: at, summary: "A gang cannot be dumped",
			detail: "With method = \"criu\" processes are saved with their connections, and those to other nodes would be gone. Give the task a checkpoint path that it writes itself, or remove nodes."})
	}
	if most, ok := l.setting(jobSchema, "max_instances", s, block).whole(0, 1<<31-1); ok && most > 0 && most < number {
		l.report(report{at: at, summary: "There would never be room for the gang",
			detail: fmt.Sprintf("nodes = %d needs as many instances at once, and the job has max_instances = %d. Raise max_instances, or lower nodes.", number, most)})
	}
}

// explainGang says what its nodes mean for a task's attempts.
func explainGang(task *job.Task) string {
	text := fmt.Sprintf("each on %d nodes or none", task.Nodes)
	if task.OnNodeLoss == job.NodeLossReplace {
		return text + ", of which a lost one is replaced and charged by itself"
	}
	return text + ", charged once if any is lost"
}
