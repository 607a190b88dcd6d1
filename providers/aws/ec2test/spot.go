package ec2test

import (
	"strconv"
	"time"

	"github.com/spotrelay/spotrelay/providers/aws/ec2test/model"
)

// spotRequest is the request that a spot instance fulfils.
type spotRequest struct {
	id      string
	price   float64
	created time.Time
	tags    map[string]string
	state   string // active, closed
	status  string // fulfilled, instance-terminated-no-capacity, ...
	message string
	changed time.Time
}

func (s *Server) newSpotRequest(price float64, tags map[string]string) *spotRequest {
	now := s.clock.now()
	return &spotRequest{
		id: s.newID("sir"), price: price, created: now, tags: tags,
		state: "active", status: "fulfilled", message: "Your Spot request is fulfilled.", changed: now,
	}
}

func (r *spotRequest) set(status, message string, now time.Time) {
	r.status, r.message, r.changed = status, message, now
}

// ended follows the end of the instance. A user's call overwrites what was told
// before, which is why evidence must be read first.
func (r *spotRequest) ended(reason Reason, now time.Time) {
	r.state = "closed"
	switch {
	case reason == reasonSpot:
		r.set("instance-terminated-no-capacity", "Your Spot instance was terminated because there is no Spot capacity available that matches your request.", now)
	case reason == reasonUser || reason == reasonInside:
		r.set("instance-terminated-by-user", "Spot Instance terminated due to user-initiated termination.", now)
	case r.status == "fulfilled":
		r.set("instance-terminated-by-service", reason.Message, now)
	}
}

func (s *Server) describeSpotRequests(input model.Values) (model.Values, *apiError) {
	all, refused := filtersOf(input, "tag", "tag-key", "instance-id", "spot-instance-request-id", "state", "status-code")
	if refused != nil {
		return nil, refused
	}
	wanted := map[string]bool{}
	for _, id := range input.Strings("SpotInstanceRequestIds") {
		wanted[id] = true
	}
	now := s.clock.now()
	matching := []*instance{}
	for _, i := range s.instances {
		if i.spot == nil || now.Before(i.listed) || len(wanted) > 0 && !wanted[i.spot.id] {
			continue
		}
		delete(wanted, i.spot.id)
		have := attributes{
			"instance-id": {i.id}, "spot-instance-request-id": {i.spot.id},
			"state": {i.spot.state}, "status-code": {i.spot.status},
		}.addTags(i.spot.tags)
		if all.match(have) {
			matching = append(matching, i)
		}
	}
	for id := range wanted {
		return nil, refuse("InvalidSpotInstanceRequestID.NotFound", "The spot instance request ID '%s' does not exist", id)
	}
	part, next, refused := page(matching, input, 5, 1000)
	if refused != nil {
		return nil, refused
	}
	list := []any{}
	for _, i := range part {
		list = append(list, i.describeSpot())
	}
	return model.Values{"SpotInstanceRequests": list, "NextToken": next}, nil
}

func (i *instance) describeSpot() model.Values {
	return model.Values{
		"SpotInstanceRequestId": i.spot.id, "InstanceId": i.id, "State": i.spot.state,
		"Status":     model.Values{"Code": i.spot.status, "Message": i.spot.message, "UpdateTime": i.spot.changed},
		"CreateTime": i.spot.created, "Type": "one-time", "ProductDescription": "Linux/UNIX",
		"InstanceInterruptionBehavior": "terminate", "LaunchedAvailabilityZone": i.pool.Zone,
		"SpotPrice": strconv.FormatFloat(i.spot.price, 'f', 6, 64), "Tags": tagList(i.spot.tags),
	}
}
