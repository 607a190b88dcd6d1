package computetest

import (
	"fmt"
	"net/http"
	"slices"
	"sort"
	"strconv"
	"strings"
)

// bulkInsert is instances.bulkInsert in a zone and regionInstances.bulkInsert in
// a region.
//
// Where the reference leaves it open: zones that locationPolicy does not name
// are allowed; of a success with fewer instances than count, the operation has
// no error, and those that failed have operations of their own in the same
// group; a name that exists is a 409 for the whole request.
func (s *Server) bulkInsert(r *request) (object, *apiError) {
	return s.once(r, func() (*operation, *apiError) {
		b, failure := s.checkBulk(r)
		if failure != nil {
			return nil, failure
		}
		return b.start(), nil
	})
}

// bulk is a request for many.
type bulk struct {
	server     *Server
	r          *request
	count, min int
	names      func(zone string) (string, *apiError)
	properties object
	pools      []placement // in the order in which they are tried
	balanced   bool
	single     bool
}

func (s *Server) checkBulk(r *request) (*bulk, *apiError) {
	if failure := s.checkPlace(r); failure != nil {
		return nil, failure
	}
	b := &bulk{server: s, r: r, properties: objectAt(r.body, "instanceProperties")}
	if b.properties == nil {
		return nil, invalid("resource.instanceProperties", "", "Required without sourceInstanceTemplate.")
	}
	count, _ := intAt(r.body, "count")
	least, given := intAt(r.body, "minCount")
	if !given {
		least = count
	}
	if count < 1 || least < 1 || least > count {
		return nil, invalid("resource.count", fmt.Sprint(count), "count must be at least 1, and minCount between 1 and count.")
	}
	b.count, b.min = int(count), int(least)
	region := r.path["region"]
	if z := s.world.zone(r.path["zone"]); z != nil {
		region = z.region
	}
	if failure := s.checkProperties("resource.instanceProperties", b.properties); failure != nil {
		return nil, failure
	}
	if failure := s.checkNetworks("resource.instanceProperties", b.properties, region); failure != nil {
		return nil, failure
	}
	for _, check := range []func() *apiError{b.checkNames, func() *apiError { return b.checkPools(region) }} {
		if failure := check(); failure != nil {
			return nil, failure
		}
	}
	return b, nil
}

// checkNames wants a pattern with one run of hashes, or a name for each.
func (b *bulk) checkNames() *apiError {
	pattern, each := textAt(b.r.body, "namePattern"), objectAt(b.r.body, "perInstanceProperties")
	if (pattern == "") == (len(each) == 0) {
		return invalid("resource.namePattern", pattern, "Either namePattern or perInstanceProperties must be set.")
	}
	if pattern != "" {
		return b.checkPattern(pattern)
	}
	if len(each) != b.count {
		return invalid("resource.perInstanceProperties", fmt.Sprint(len(each)), "As many as count are wanted.")
	}
	names := sortedKeys(each)
	for _, name := range names {
		if failure := b.server.checkName("resource.perInstanceProperties", name); failure != nil {
			return failure
		}
		for _, in := range b.server.instances {
			if !in.gone && in.name == name && (in.zone.region == b.r.path["region"] || in.zone.name == b.r.path["zone"]) {
				return exists(b.server.relative(in.path()))
			}
		}
	}
	next := 0
	b.names = func(string) (string, *apiError) {
		next++
		return names[next-1], nil
	}
	return nil
}

func (b *bulk) checkPattern(pattern string) *apiError {
	first, last := strings.IndexByte(pattern, '#'), strings.LastIndexByte(pattern, '#')
	if first < 0 || strings.Trim(pattern[first:last+1], "#") != "" || last-first+1 > 18 {
		return invalid("resource.namePattern", pattern, "One continuous sequence of at most 18 '#' is wanted.")
	}
	prefix, suffix, width := pattern[:first], pattern[last+1:], last-first+1
	nameOf := func(n int) string { return fmt.Sprintf("%s%0*d%s", prefix, width, n, suffix) }
	if failure := b.server.checkName("resource.namePattern", nameOf(1)); failure != nil {
		return failure
	}
	next := 1
	for _, in := range b.server.instances { // those that exist go before
		middle, ok1 := strings.CutPrefix(in.name, prefix)
		middle, ok2 := strings.CutSuffix(middle, suffix)
		if n, err := strconv.Atoi(middle); !in.gone && ok1 && ok2 && err == nil && len(middle) == width {
			next = max(next, n+1)
		}
	}
	if len(nameOf(next+b.count-1)) != len(pattern) {
		return invalid("resource.namePattern", pattern, "There are not enough numbers left.")
	}
	b.names = func(string) (string, *apiError) {
		next++
		return nameOf(next - 1), nil
	}
	return nil
}

// checkPools lists the pools that may be used: types by rank, zones by name.
func (b *bulk) checkPools(region string) *apiError {
	zones, failure := b.zones(region)
	if failure != nil {
		return failure
	}
	types, failure := b.types()
	if failure != nil {
		return failure
	}
	for _, name := range types {
		for _, z := range zones {
			if p, ok := placementOf(z, name, b.properties); ok {
				b.pools = append(b.pools, p)
			}
		}
	}
	if len(b.pools) == 0 {
		failure := missing("resource.instanceProperties.machineType", strings.Join(types, ","))
		failure.message = "None of the machine types " + strings.Join(types, ", ") + " exists in the zones that are allowed."
		return failure
	}
	return nil
}

func (b *bulk) zones(region string) ([]*zone, *apiError) {
	s := b.server
	if z := s.world.zone(b.r.path["zone"]); z != nil {
		return []*zone{z}, nil
	}
	shape := textAt(b.r.body, "locationPolicy.targetShape")
	b.balanced, b.single = shape == "BALANCED", shape == "ANY_SINGLE_ZONE"
	denied := map[string]bool{}
	for location, value := range objectAt(b.r.body, "locationPolicy.locations") {
		name, ok := strings.CutPrefix(location, "zones/")
		if z := s.world.zone(name); !ok || z == nil || z.region != region {
			return nil, invalid("resource.locationPolicy.locations", location, "Locations are zones of the region, such as zones/us-central1-a.")
		}
		fields, _ := value.(object)
		denied[name] = textAt(fields, "preference") == "DENY"
	}
	zones := slices.DeleteFunc(slices.Clone(s.world.region(region).zones), func(z *zone) bool { return denied[z.name] })
	if len(zones) == 0 {
		return nil, invalid("resource.locationPolicy.locations", "", "No zone is allowed.")
	}
	return zones, nil
}

// types are the machine types by rank.
func (b *bulk) types() ([]string, *apiError) {
	single := textAt(b.properties, "machineType")
	selections := objectAt(b.r.body, "instanceFlexibilityPolicy.instanceSelections")
	if (single == "") == (len(selections) == 0) {
		return nil, invalid("resource.instanceProperties.machineType", single, "Either machineType or instanceFlexibilityPolicy is wanted.")
	}
	type ranked struct {
		name string
		rank int64
	}
	var all []ranked
	if single != "" {
		all = append(all, ranked{single, 0})
	}
	for _, key := range sortedKeys(selections) {
		fields, _ := selections[key].(object)
		rank, _ := intAt(fields, "rank")
		list, _ := fields["machineTypes"].([]any)
		for _, name := range list {
			text, _ := name.(string)
			all = append(all, ranked{text, rank})
		}
	}
	sort.SliceStable(all, func(i, j int) bool { return all[i].rank < all[j].rank })
	names := make([]string, len(all))
	for i, r := range all {
		if strings.Contains(r.name, "/") {
			return nil, invalid("resource.instanceProperties.machineType", r.name, "Only names of machine types, not URLs.")
		}
		names[i] = r.name
	}
	return names, nil
}

// start places what can be placed and makes the operations.
func (b *bulk) start() *operation {
	s := b.server
	group := fmt.Sprintf("group-%d", s.newID())
	op := &operation{
		kind: "bulkInsert", region: b.r.path["region"], zone: b.r.path["zone"], user: b.r.user,
		request: b.r.query.Get("requestId"), group: group, bulk: map[string]*bulkStatus{},
	}
	for _, p := range b.pools {
		if op.bulk[p.zone.name] == nil {
			op.bulk[p.zone.name] = &bulkStatus{}
		}
	}
	placed, refused := b.place()
	enough := len(placed) >= b.min
	for i := range b.count {
		var in *instance
		var failure *operationError
		switch {
		case i < len(placed):
			name, _ := b.names("")
			in = s.create(placed[i], name, b.asked(placed[i]))
			if !enough {
				failure = &operationError{code: "BULK_INSERT_ROLLBACK", message: "The instance was deleted, since minCount could not be reached.", status: http.StatusConflict}
			}
		default:
			name, _ := b.names("")
			failed := refused[min(i-len(placed), len(refused)-1)]
			in = s.create(failed.placement, name, b.asked(failed.placement))
			failure = failed.failure
		}
		status := op.bulk[in.zone.name]
		status.target++
		switch {
		case failure == nil:
			status.created++
		case i < len(placed):
			status.created, status.deleted = status.created+1, status.deleted+1
		default:
			status.failed++
		}
		s.startInsert(in, b.r, group, failure)
	}
	if !enough {
		op.failure = refused[0].failure
	}
	return s.newOperation(op, nil)
}

// asked are the properties as one instance has them.
func (b *bulk) asked(p placement) object {
	o := copyOf(b.properties)
	o["machineType"] = p.machineType.name
	return o
}

// refusedPool is a pool that gave nothing more.
type refusedPool struct {
	placement placement
	failure   *operationError
}

// place finds room for as many as there is: pool by pool, or a zone after the
// other where they are to be balanced.
func (b *bulk) place() (placed []placement, refused []refusedPool) {
	s := b.server
	open := slices.Clone(b.pools)
	taken := map[string]float64{}
	for i := 0; len(placed) < b.count && len(open) > 0; {
		p := open[i%len(open)]
		failure := s.refusalBeside(b.r.method.ID, p, placed, taken)
		if failure != nil {
			refused = append(refused, refusedPool{p, failure})
			open = slices.DeleteFunc(open, func(o placement) bool {
				return o.zone == p.zone && o.machineType.name == p.machineType.name
			})
			continue
		}
		if b.single {
			open = slices.DeleteFunc(open, func(o placement) bool { return o.zone != p.zone })
		}
		placed = append(placed, p)
		for metric, amount := range p.demand {
			taken[metric] += amount
		}
		if b.balanced {
			i++
		}
	}
	return placed, refused
}
