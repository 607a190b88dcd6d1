package jobspec

import (
	"fmt"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
)

// sortTasks gives the tasks so that dependencies come first, else in the order
// of the file, and reports cycles.
func (l *loader) sortTasks() []*task {
	var order []*task
	state := map[*task]int{}
	var visit func(t *task, path []*task)
	visit = func(t *task, path []*task) {
		if state[t] != 0 {
			if state[t] == visiting {
				l.taskCycle(t, path)
			}
			return
		}
		state[t] = visiting
		for _, edge := range t.edges {
			visit(l.tasks[edge.to], append(slices.Clip(path), t))
		}
		state[t] = visited
		order = append(order, t)
	}
	for _, t := range l.taskOrder {
		visit(t, nil)
	}
	return order
}

// taskCycle reports a cycle: the whole of it, at the reference that closes it.
func (l *loader) taskCycle(t *task, path []*task) {
	cycle := path[slices.Index(path, t):]
	var names, places []string
	var closing hcl.Range
	for i, from := range cycle {
		to := cycle[(i+1)%len(cycle)]
		where := from.edges[slices.IndexFunc(from.edges, func(e edge) bool { return e.to == to.name })].at
		names = append(names, from.name)
		places = append(places, fmt.Sprintf("%s needs %s at %s", from.name, to.name, at(where)))
		closing = where
	}
	names = append(names, t.name)
	defer l.within(cycle[len(cycle)-1].c.title())()
	l.report(report{at: closing, summary: "Tasks in a cycle",
		detail: fmt.Sprintf("%s: none of them could start. %s.", strings.Join(names, " -> "), strings.Join(places, ", "))})
}
