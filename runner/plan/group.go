package plan

import (
	"fmt"
	"maps"

	"github.com/spotrelay/spotrelay/providers"
	"github.com/spotrelay/spotrelay/runner/job"
)

// A group is the tasks that can share instances: they need the same, look for
// it in the same fleets and wait equally long for it. Its key is the name of
// its first task.
type group struct {
	key       string
	need      providers.Need
	labels    map[string]string
	fleets    []string
	slots     int
	dedicated bool
	nodes     int  // of a gang, each an instance; 1: no gangs
	wait      Time // capacity_wait
	onDemand  bool // the job file allows it
	open      int  // indexes that have not ended

	sides   [2]side
	members map[string]struct{} // instances that are not gone
	offers  map[string]*quotes  // by fleet
	// noOnDemand: every fleet answered, and none has an on-demand offer; the
	// last attempts go on spot then.
	noOnDemand bool
	lack       [2]gangLack // what gangs lack, by side; of this tick
	waiting    string      // why its ready work has no instance yet, for people
}

// side is a group's work and instances of one capacity type.
type side struct {
	queue   lanes
	ready   int            // indexes that wait for an instance
	coming  int            // indexes that an interruption will send here
	booting int            // instances on their way
	live    int            // instances that serve, booting ones too
	free    map[string]int // slots by instance
	slots   int            // sum of free
	// brisk instances may be given work ahead.
	brisk map[string]struct{}
	idle  int // instances that run nothing
}

const (
	onSpot     = 0
	onDemand   = 1
	notQueued  = 0
	queuedSide = 1 // IndexState.queued is this plus the side
)

func sideOf(capacity providers.CapacityType) int {
	if capacity == providers.OnDemand {
		return onDemand
	}
	return onSpot
}

func capacityOf(side int) providers.CapacityType {
	if side == onDemand {
		return providers.OnDemand
	}
	return providers.Spot
}

// groupTasks puts each task into its group, and makes those of raised memory, by
// task and amount.
func groupTasks(spec *job.Spec) (groups []*group, of []*group, tiers []map[int64]*group) {
	byLook := map[string]*group{}
	for i := range spec.Tasks {
		task := &spec.Tasks[i]
		look := groupLook(spec, task)
		g := byLook[look]
		if g == nil {
			g = newGroup(spec, task)
			byLook[look] = g
			groups = append(groups, g)
		}
		g.open += task.Count
		of = append(of, g)
		raised := map[int64]*group{}
		for _, memory := range task.MemoryTiers()[1:] {
			raised[memory] = tierGroup(spec, task, memory)
			groups = append(groups, raised[memory])
		}
		tiers = append(tiers, raised)
	}
	return groups, of, tiers
}

func newGroup(spec *job.Spec, task *job.Task) *group {
	g := &group{
		key: task.Name, labels: mergedLabels(spec, task), fleets: task.Fleets,
		slots: max(task.Slots, 1), dedicated: task.Dedicated, nodes: max(task.Nodes, 1),
		wait: task.Retries.CapacityWait.D(), onDemand: task.Retries.OnDemandAttempts > 0,
		members: map[string]struct{}{}, offers: map[string]*quotes{},
		need: needOf(task),
	}
	if g.dedicated || g.nodes > 1 {
		g.slots = 1
	}
	for i := range g.sides {
		g.sides[i].free, g.sides[i].brisk = map[string]int{}, map[string]struct{}{}
	}
	return g
}

// needOf is what an instance must have: a task's resources times its slots, so
// that all of them fit.
func needOf(task *job.Task) providers.Need {
	slots := max(task.Slots, 1)
	if task.Dedicated || task.IsGang() {
		slots = 1
	}
	r := task.Resources
	return providers.Need{
		CPUs: r.CPUs * float64(slots), Memory: r.Memory * int64(slots), Disk: r.Disk * int64(slots),
		GPUs: r.GPUs * slots, GPUType: r.GPUType, Arch: r.Arch, Image: task.Image,
	}
}

func mergedLabels(spec *job.Spec, task *job.Task) map[string]string {
	labels := maps.Clone(spec.Labels)
	if labels == nil {
		labels = map[string]string{}
	}
	maps.Copy(labels, task.Labels)
	if len(labels) == 0 {
		return nil
	}
	return labels
}

// groupLook is equal for tasks of one group; fmt prints maps by sorted keys.
func groupLook(spec *job.Spec, task *job.Task) string {
	own := ""
	if task.Dedicated {
		own = task.Name
	}
	return fmt.Sprintf("%+v|%q|%q|%q|%d|%q|%d|%t|%d", task.Resources, task.Image, mergedLabels(spec, task),
		task.Fleets, task.Slots, own, task.Retries.CapacityWait, task.Retries.OnDemandAttempts > 0, max(task.Nodes, 1))
}

func shortKey(group string, capacity providers.CapacityType) string {
	return group + "/" + string(capacity)
}
