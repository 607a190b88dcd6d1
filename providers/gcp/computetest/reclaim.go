package computetest

import (
	"fmt"
	"time"
)

// Instance is what a test sees of an instance.
type Instance struct {
	ID          uint64
	Name        string
	Zone        string
	MachineType string
	Spot        bool
	Status      string
	Gone        bool // 404
	Labels      map[string]string
	Folder      string // of its machine
}

// Instances are all that ever were, the oldest first.
func (s *Server) Instances() []Instance {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]Instance, len(s.instances))
	for i, in := range s.instances {
		all[i] = Instance{
			ID: in.id, Name: in.name, Zone: in.zone.name, MachineType: in.machineType.name,
			Spot: in.spot, Status: in.status, Gone: in.gone, Labels: map[string]string{},
		}
		for key, value := range objectAt(in.asked, "labels") {
			all[i].Labels[key] = fmt.Sprint(value)
		}
		if in.machine != nil {
			all[i].Folder = in.machine.folder
		}
	}
	return all
}

// Living are those of Instances that are not gone.
func (s *Server) Living() []Instance {
	var living []Instance
	for _, in := range s.Instances() {
		if !in.Gone {
			living = append(living, in)
		}
	}
	return living
}

// With does something to the instance with an id, under the lock; it reports
// whether there is a living one.
func (s *Server) with(id uint64, do func(*instance)) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, in := range s.instances {
		if in.id == id && !in.gone {
			do(in)
			return true
		}
	}
	return false
}

// Preempt takes a spot instance: its metadata says so, after the notice that it
// asked for comes the soft-off, and after Options.SoftOff it is gone. false: it
// lives no more.
func (s *Server) Preempt(id uint64) bool { return s.with(id, s.preempt) }

func (s *Server) preempt(in *instance) {
	if in.noticed || in.status != statusRunning {
		return
	}
	in.noticed = true
	in.metadata.set("preempted", "TRUE")
	notice, _ := durationAt(in.asked, "scheduling.preemptionNoticeDuration")
	s.after(s.options.scaled(notice), func() {
		if !in.noticed || in.gone || in.status != statusRunning {
			return // withdrawn, or ended otherwise
		}
		in.status = statusStopping
		s.systemOperation("compute.instances.preempted", in)
		if in.machine != nil {
			go in.machine.softOff()
		}
		s.after(s.options.SoftOff, func() { s.ended(in) })
	})
}

// ended takes away what has not been taken meanwhile.
func (s *Server) ended(in *instance) {
	if !in.gone {
		s.end(in)
	}
}

// Kill takes a spot instance at once, with no notice that anybody could see.
func (s *Server) Kill(id uint64) bool {
	return s.with(id, func(in *instance) {
		s.systemOperation("compute.instances.preempted", in)
		s.end(in)
	})
}

// Withdraw takes a notice back, if the soft-off has not come.
func (s *Server) Withdraw(id uint64) bool {
	return s.with(id, func(in *instance) {
		in.noticed = false
		in.metadata.set("preempted", "FALSE")
	})
}

// Maintenance sets what instance/maintenance-event says: NONE,
// MIGRATE_ON_HOST_MAINTENANCE or TERMINATE_ON_HOST_MAINTENANCE.
func (s *Server) Maintenance(id uint64, event string) bool {
	return s.with(id, func(in *instance) { in.metadata.set("maintenance-event", event) })
}

// HostError loses an instance's host. What is not restarted automatically is
// TERMINATED.
func (s *Server) HostError(id uint64) bool {
	return s.lose(id, "compute.instances.hostError")
}

// HostMaintenance ends an instance that cannot be migrated.
func (s *Server) HostMaintenance(id uint64) bool {
	return s.lose(id, "compute.instances.terminateOnHostMaintenance")
}

// PowerOff is a shutdown from inside.
func (s *Server) PowerOff(id uint64) bool {
	return s.lose(id, "compute.instances.guestTerminate")
}

// lose ends an instance by an event that leaves it TERMINATED, as events do
// that are no preemption.
func (s *Server) lose(id uint64, kind string) bool {
	return s.with(id, func(in *instance) {
		s.systemOperation(kind, in)
		in.status = statusTerminated
		s.cutPower(in)
	})
}

// StopBy and DeleteBy are somebody's calls to the API.
func (s *Server) StopBy(id uint64, user string) bool {
	return s.with(id, func(in *instance) { s.halt(in, user, "") })
}

// DeleteBy deletes an instance for a user.
func (s *Server) DeleteBy(id uint64, user string) bool {
	return s.with(id, func(in *instance) { s.remove(in, user, "") })
}

// Foreign makes an instance that somebody else owns, and gives its name.
func (s *Server) Foreign(zone, name string, labels map[string]string) Instance {
	s.mu.Lock()
	z := s.world.zone(zone)
	asked := object{
		"scheduling":        object{"provisioningModel": "STANDARD", "automaticRestart": true, "onHostMaintenance": "MIGRATE"},
		"networkInterfaces": []any{object{"network": s.selfLink("global/networks/" + networkName)}},
		"disks":             []any{object{"boot": true, "autoDelete": true, "type": "PERSISTENT"}},
	}
	if len(labels) > 0 {
		marks := object{}
		for key, value := range labels {
			marks[key] = value
		}
		asked["labels"] = marks
	}
	place, _ := placementOf(z, z.types[1].name, asked)
	in := s.create(place, name, asked)
	in.visible = in.created
	in.status, in.started = statusRunning, s.clock.Now()
	s.mu.Unlock()
	return Instance{ID: in.id, Name: name, Zone: zone, Status: in.status, Labels: labels}
}

// simulateMaintenance takes a spot instance as a preemption would; another one
// is told of maintenance, and ended if it is not migrated.
func (s *Server) simulateMaintenance(r *request) (object, *apiError) {
	return s.once(r, func() (*operation, *apiError) {
		in, failure := s.instanceOf(r)
		if failure != nil {
			return nil, failure
		}
		if in.status != statusRunning {
			failure := invalid("instance", in.status, "The instance must be running.")
			failure.reason, failure.broke = "resourceNotReady", false
			return nil, failure
		}
		op := &operation{
			kind: "simulateMaintenanceEvent", zone: in.zone.name, user: r.user,
			request: r.query.Get("requestId"), target: in.path(), targetID: in.id,
		}
		return s.newOperation(op, func() *operationError {
			switch {
			case in.gone:
			case in.spot:
				s.preempt(in)
			default:
				s.maintain(in)
			}
			return nil
		}), nil
	})
}

// maintenanceLead is how long maintenance-event is there before the event, by
// the page on maintenance notices.
const maintenanceLead = time.Minute

func (s *Server) maintain(in *instance) {
	event := "MIGRATE_ON_HOST_MAINTENANCE"
	if textAt(in.asked, "scheduling.onHostMaintenance") == "TERMINATE" {
		event = "TERMINATE_ON_HOST_MAINTENANCE"
	}
	in.metadata.set("maintenance-event", event)
	s.after(s.options.scaled(maintenanceLead), func() {
		if in.gone || in.status != statusRunning {
			return
		}
		in.metadata.set("maintenance-event", "NONE")
		if event == "TERMINATE_ON_HOST_MAINTENANCE" {
			s.systemOperation("compute.instances.terminateOnHostMaintenance", in)
			in.status = statusTerminated
			s.cutPower(in)
		}
	})
}
