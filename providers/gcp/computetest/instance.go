package computetest

import (
	"maps"
	"strconv"
	"strings"
	"time"
)

// Statuses of an instance.
const (
	statusProvisioning = "PROVISIONING"
	statusStaging      = "STAGING"
	statusRunning      = "RUNNING"
	statusStopping     = "STOPPING"
	statusTerminated   = "TERMINATED" // stopped: still there
)

// instance is one VM, also after its end.
type instance struct {
	id          uint64
	name        string
	zone        *zone
	machineType machineType
	spot        bool
	gpus        int
	demand      map[string]float64
	asked       object // the properties as they were asked for
	status      string
	created     time.Time
	visible     time.Time // in lists
	started     time.Time
	gone        bool // 404
	deleting    *operation
	noticed     bool
	metadata    *metadata
	machine     *machine
	serial      string // of an instance without a machine
}

func (in *instance) path() string { return "zones/" + in.zone.name + "/instances/" + in.name }

// token is what the metadata server gives for the instance's service account.
func (in *instance) token() string { return "instance-" + strconv.FormatUint(in.id, 10) }

// account is the e-mail of an instance's service account; "" if it has none.
func (s *Server) account(in *instance) string {
	accounts := objectsAt(in.asked, "serviceAccounts")
	if len(accounts) == 0 {
		return ""
	}
	if email := textAt(accounts[0], "email"); email != "default" {
		return email
	}
	return s.computeAccount()
}

// alive reports whether it uses capacity.
func (in *instance) alive() bool { return !in.gone && in.status != statusTerminated }

func (s *Server) instanceJSON(in *instance) object {
	o := copyOf(in.asked)
	path := in.path()
	maps.Copy(o, object{
		"kind": "compute#instance", "id": strconv.FormatUint(in.id, 10), "name": in.name,
		"creationTimestamp": stamp(in.created), "status": in.status, "zone": s.selfLink("zones/" + in.zone.name),
		"machineType":      s.selfLink("zones/" + in.zone.name + "/machineTypes/" + in.machineType.name),
		"selfLink":         s.selfLink(path),
		"labelFingerprint": "42WmSpB8rSM=", "fingerprint": "42WmSpB8rSM=",
		"cpuPlatform": "Intel Broadwell", "startRestricted": false, "deletionProtection": false,
	})
	if !in.started.IsZero() {
		o["lastStartTimestamp"] = stamp(in.started)
	}
	var disks []object
	for i, asked := range objectsAt(in.asked, "disks") {
		disk := copyOf(asked)
		delete(disk, "initializeParams")
		disk["kind"], disk["index"] = "compute#attachedDisk", i
		disk["source"] = s.selfLink("zones/" + in.zone.name + "/disks/" + in.name)
		disks = append(disks, disk)
	}
	o["disks"] = disks
	return o
}

// findInstance is the living instance that a name or an id stands for.
func (s *Server) findInstance(zone, nameOrID string) *instance {
	for _, in := range s.instances {
		if !in.gone && in.zone.name == zone && (in.name == nameOrID || strconv.FormatUint(in.id, 10) == nameOrID) {
			return in
		}
	}
	return nil
}

func (s *Server) visibleInstances(_ *request, zone string) []object {
	now := s.clock.Now()
	var all []object
	for _, in := range s.instances {
		if !in.gone && in.zone.name == zone && !in.visible.After(now) {
			all = append(all, s.instanceJSON(in))
		}
	}
	return all
}

func (s *Server) instanceOf(r *request) (*instance, *apiError) {
	if failure := s.checkPlace(r); failure != nil {
		return nil, failure
	}
	if in := s.findInstance(r.path["zone"], r.path["instance"]); in != nil {
		return in, nil
	}
	return nil, notFound(s.pathOf(r))
}

func (s *Server) getInstance(r *request) (object, *apiError) {
	in, failure := s.instanceOf(r)
	if failure != nil {
		return nil, failure
	}
	return s.instanceJSON(in), nil
}

// create makes an instance that is about to be; it can be read at once and is
// in lists after the lag.
func (s *Server) create(p placement, name string, properties object) *instance {
	now := s.clock.Now()
	in := &instance{
		id: s.newID(), name: name, zone: p.zone, machineType: p.machineType, spot: p.spot, gpus: p.gpus,
		demand: p.demand, asked: properties, status: statusProvisioning, created: now, visible: now.Add(s.options.ListLag),
	}
	in.metadata = newMetadata(s, in)
	s.instances = append(s.instances, in)
	return in
}

// boot takes an instance that was created up to RUNNING.
func (s *Server) boot(in *instance) {
	in.status = statusStaging
	s.after(s.options.BootTime, func() {
		if in.status != statusStaging || in.gone {
			return
		}
		in.status, in.started = statusRunning, s.clock.Now()
		in.serial = "[    0.000000] Linux version 6.8.0-gcp\nubuntu login: \n"
		if s.options.Machines != "" {
			s.power(in)
		}
		s.leash(in)
	})
}

// leash ends an instance that has run for as long as it may.
func (s *Server) leash(in *instance) {
	longest, given := durationAt(in.asked, "scheduling.maxRunDuration")
	if !given {
		return
	}
	s.after(s.options.scaled(longest), func() {
		if in.gone || in.status != statusRunning {
			return
		}
		// Observed by users of maxRunDuration, not in the reference.
		if in.deletes() {
			s.systemOperation("compute.instances.deferredDelete", in)
		} else {
			s.systemOperation("compute.instances.deferredStop", in)
		}
		s.end(in)
	})
}

// deletes is what its termination action says.
func (in *instance) deletes() bool {
	return textAt(in.asked, "scheduling.instanceTerminationAction") == "DELETE"
}

// end takes an instance away that the cloud ends: as its termination action
// says.
func (s *Server) end(in *instance) {
	in.status = statusTerminated
	in.gone = in.deletes()
	s.cutPower(in)
}

// cutPower kills the processes; the lock is held, so others do it.
func (s *Server) cutPower(in *instance) {
	in.metadata.stop()
	if in.machine != nil {
		go in.machine.kill()
	}
}

func (s *Server) deleteInstance(r *request) (object, *apiError) {
	return s.once(r, func() (*operation, *apiError) {
		in, failure := s.instanceOf(r)
		if failure != nil {
			return nil, failure
		}
		return s.remove(in, r.user, r.query.Get("requestId")), nil
	})
}

// remove deletes an instance for a user.
func (s *Server) remove(in *instance, user, request string) *operation {
	if in.deleting != nil {
		return in.deleting
	}
	in.status = statusStopping
	in.deleting = s.newOperation(&operation{
		kind: "delete", zone: in.zone.name, user: user, request: request, target: in.path(), targetID: in.id,
	}, func() *operationError {
		in.status, in.gone = statusTerminated, true
		s.cutPower(in)
		return nil
	})
	return in.deleting
}

func (s *Server) stopInstance(r *request) (object, *apiError) {
	return s.once(r, func() (*operation, *apiError) {
		in, failure := s.instanceOf(r)
		if failure != nil {
			return nil, failure
		}
		return s.halt(in, r.user, r.query.Get("requestId")), nil
	})
}

// halt stops an instance for a user: it stays, TERMINATED.
func (s *Server) halt(in *instance, user, request string) *operation {
	in.status = statusStopping
	return s.newOperation(&operation{
		kind: "stop", zone: in.zone.name, user: user, request: request, target: in.path(), targetID: in.id,
	}, func() *operationError {
		in.status = statusTerminated
		s.cutPower(in)
		return nil
	})
}

// maxSerial is how much of a serial port's output is kept.
const maxSerial = 1 << 20

func (s *Server) serialPort(r *request) (object, *apiError) {
	in, failure := s.instanceOf(r)
	if failure != nil {
		return nil, failure
	}
	if port := r.query.Get("port"); port != "" && port != "1" {
		return object{"kind": "compute#serialPortOutput", "contents": "", "start": "0", "next": "0"}, nil
	}
	output := in.serial
	if in.machine != nil {
		output = in.machine.console()
	}
	from := 0
	if text := r.query.Get("start"); text != "" {
		var err error
		if from, err = strconv.Atoi(text); err != nil {
			return nil, invalid("start", text, "Must be a number.")
		}
	}
	if from < 0 { // so many bytes from the end
		from += len(output)
	}
	from = min(max(from, 0, len(output)-maxSerial), len(output))
	return object{
		"kind": "compute#serialPortOutput", "selfLink": s.selfLink(in.path() + "/serialPort"),
		"contents": strings.ToValidUTF8(output[from:], "�"), "start": strconv.Itoa(from), "next": strconv.Itoa(len(output)),
	}, nil
}
