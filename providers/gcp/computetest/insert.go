package computetest

import (
	"fmt"
	"strings"
)

// placement is where an instance is to be.
type placement struct {
	zone        *zone
	machineType machineType
	spot        bool
	gpus        int
	demand      map[string]float64
}

// placementOf is a type in a zone for some properties; false where the zone
// lacks the type or the accelerators.
func placementOf(z *zone, typeName string, properties object) (placement, bool) {
	t := z.machineType(typeName)
	if t == nil {
		return placement{}, false
	}
	gpus, gpuType := 0, ""
	for _, a := range objectsAt(properties, "guestAccelerators") {
		count, _ := intAt(a, "acceleratorCount")
		gpus, gpuType = int(count), lastPart(textAt(a, "acceleratorType"))
		if !z.attaches(*t, gpuType, gpus) {
			return placement{}, false
		}
	}
	preemptible, _ := boolAt(properties, "scheduling.preemptible")
	spot := preemptible || textAt(properties, "scheduling.provisioningModel") == "SPOT"
	if t.gpus > 0 {
		gpus = t.gpus
	}
	return placement{zone: z, machineType: *t, spot: spot, gpus: gpus, demand: demand(*t, gpus, gpuType, spot)}, true
}

// attaches reports whether GPUs can be attached: to N1 alone, or where they
// are built in anyway.
func (z *zone) attaches(t machineType, gpuType string, count int) bool {
	if t.accelerator == gpuType && t.gpus == count {
		return true
	}
	for _, a := range z.accelerators {
		if a.name == gpuType && count <= a.max && strings.HasPrefix(t.name, "n1-") {
			return true
		}
	}
	return false
}

func (s *Server) insert(r *request) (object, *apiError) {
	return s.once(r, func() (*operation, *apiError) {
		place, failure := s.checkInsert(r)
		if failure != nil {
			return nil, failure
		}
		name := textAt(r.body, "name")
		if s.findInstance(place.zone.name, name) != nil {
			return nil, exists(s.relative("zones/" + place.zone.name + "/instances/" + name))
		}
		in := s.create(place, name, r.body)
		return s.startInsert(in, r, "", s.refusal(r.method.ID, place)), nil
	})
}

func (s *Server) checkInsert(r *request) (placement, *apiError) {
	none := placement{}
	if failure := s.checkPlace(r); failure != nil {
		return none, failure
	}
	z := s.world.zone(r.path["zone"])
	if failure := s.checkName("resource.name", textAt(r.body, "name")); failure != nil {
		return none, failure
	}
	if failure := s.checkProperties("resource", r.body); failure != nil {
		return none, failure
	}
	if failure := s.checkNetworks("resource", r.body, z.region); failure != nil {
		return none, failure
	}
	address := textAt(r.body, "machineType")
	if !strings.Contains(address, "zones/"+z.name+"/machineTypes/") {
		return none, invalid("resource.machineType", address, "The URL is malformed.")
	}
	place, ok := placementOf(z, lastPart(address), r.body)
	if !ok {
		failure := missing("resource.machineType", address)
		failure.message = fmt.Sprintf("Invalid value for field 'resource.machineType': '%s'. Machine type with name '%s' does not exist in zone '%s'.", address, lastPart(address), z.name)
		return none, failure
	}
	return place, nil
}

// startInsert is the operation of one instance; refused says why it is to fail.
func (s *Server) startInsert(in *instance, r *request, group string, refused *operationError) *operation {
	op := &operation{
		kind: "insert", zone: in.zone.name, user: r.user, group: group,
		target: in.path(), targetID: in.id, failure: refused,
	}
	if group == "" {
		op.request = r.query.Get("requestId")
	}
	return s.newOperation(op, func() *operationError {
		switch {
		case refused != nil: // it was seen for a moment
			in.gone, in.status = true, statusTerminated
		case !in.gone && in.status == statusProvisioning: // not deleted meanwhile
			s.boot(in)
		}
		return nil
	})
}
