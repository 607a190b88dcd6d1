package gcp

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"cloud.google.com/go/compute/apiv1/computepb"
	"github.com/googleapis/gax-go/v2/callctx"
	"golang.org/x/sync/errgroup"

	"github.com/spotrelay/spotrelay/providers"
)

// instanceFields are what a listing asks for: not the metadata, whose startup
// script is most of an instance.
const instanceFields = "id,name,status,labels,machineType,zone,creationTimestamp,guestAccelerators,scheduling.provisioningModel"

// List implements providers.Provider. It asks each zone of the region, also
// those that the fleet no longer rents in, and not the whole project at once: a
// zone elsewhere that cannot be reached is none of the fleet's business.
func (p *Provider) List(ctx context.Context, fleet providers.Fleet, tags map[string]string) ([]providers.Instance, error) {
	const op = "list"
	config, err := requireConfig(op, fleet)
	if err != nil {
		return nil, err
	}
	c, err := p.cloud(ctx, op, config)
	if err != nil {
		return nil, err
	}
	region, err := c.readPlace(ctx, op)
	if err != nil {
		return nil, err
	}
	found, err := c.list(ctx, op, region.zones, tags)
	if err != nil {
		return nil, err
	}
	instances := make([]providers.Instance, 0, len(found))
	for _, f := range found {
		instances = append(instances, f.instance)
	}
	return instances, nil
}

// listed is an instance and what of it the contract has no word for.
type listed struct {
	instance providers.Instance
	id       instanceID
	digest   string
}

// list gives the instances in zones that bear all the tags, in order of id.
func (c *cloud) list(ctx context.Context, op string, zones []string, tags map[string]string) ([]listed, error) {
	var mu sync.Mutex
	var all []listed
	group, ctx := errgroup.WithContext(ctx)
	for _, zone := range zones {
		group.Go(func() error {
			found, err := c.listZone(ctx, op, zone, labelFilter(tags))
			if err != nil {
				return err
			}
			for _, i := range found {
				l, err := c.listedOf(ctx, op, i)
				if providers.CodeOf(err) == providers.CodeNotFound {
					continue // gone meanwhile
				}
				if err != nil {
					return err
				}
				if bears(l.instance.Tags, tags) {
					mu.Lock()
					all = append(all, l)
					mu.Unlock()
				}
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	slices.SortFunc(all, func(a, b listed) int { return strings.Compare(a.instance.ID, b.instance.ID) })
	for _, l := range all {
		if ours(l.instance.Tags) {
			c.remember(l.id.number)
		}
	}
	return all, nil
}

// ours reports whether tags are of an instance that spotrelay rented.
func ours(tags map[string]string) bool {
	return tags[providers.TagBucket] != "" || tags[providers.TagRun] != "" || tags[providers.TagIntent] != ""
}

// listZone gives the instances of a zone that a filter lets through, or an
// error: never a part of them, which Compute gives only with
// returnPartialSuccess.
func (c *cloud) listZone(ctx context.Context, op, zone, filter string) ([]*computepb.Instance, error) {
	var all []*computepb.Instance
	const call = "instances.list"
	err := c.pages(ctx, op, call, apiList, func(ctx context.Context, token *string) (string, error) {
		ctx = callctx.SetHeaders(ctx, callctx.XGoogFieldMaskHeader, "nextPageToken,warning,items("+instanceFields+")")
		request := &computepb.ListInstancesRequest{Project: c.key.project, Zone: zone, MaxResults: ptr(uint32(pageSize)), PageToken: token}
		if filter != "" {
			request.Filter = &filter
		}
		it := c.instances.List(ctx, request, noRetry)
		if err := first(it.Next()); err != nil {
			return "", err
		}
		page, _ := it.Response.(*computepb.InstanceList)
		if err := incomplete(op, call, page.GetWarning()); err != nil {
			return "", err
		}
		all = append(all, page.GetItems()...)
		return page.GetNextPageToken(), nil
	})
	return all, err
}

// incomplete makes an error of a warning that says that a part is missing.
func incomplete(op, call string, warning *computepb.Warning) error {
	switch warning.GetCode() {
	case "", "NO_RESULTS_ON_PAGE":
		return nil
	}
	return &providers.Error{
		Code: providers.CodeUnavailable, Op: op, Call: "compute." + call,
		Message: fmt.Sprintf("the answer is incomplete: %s: %s", warning.GetCode(), warning.GetMessage()),
		Hint:    "a part of the zone cannot be reached; it is asked again",
	}
}

// labelFilter lets instances through that bear the tags, as far as labels tell.
func labelFilter(tags map[string]string) string {
	var terms []string
	for _, key := range slices.Sorted(maps.Keys(tags)) {
		label, ok := labelKey(key)
		if !ok {
			continue // looked at afterwards
		}
		value, _ := labelValue(tags[key])
		terms = append(terms, fmt.Sprintf(`(labels.%s="%s")`, label, value))
	}
	return strings.Join(terms, " AND ")
}

// listedOf reads an instance. Tags that its labels do not hold whole are asked
// for.
func (c *cloud) listedOf(ctx context.Context, op string, i *computepb.Instance) (listed, error) {
	l := listed{
		id:     instanceID{path.Base(i.GetZone()), i.GetName(), i.GetId()},
		digest: i.GetLabels()[digestLabel],
	}
	tags, more := tagsOf(i.GetLabels())
	if more {
		whole, err := c.get(ctx, op, l.id)
		if err != nil {
			return l, err
		}
		rest, err := restOf(whole)
		if err != nil {
			return l, fault(op, providers.CodeUnavailable, "instance "+l.id.String()+": "+err.Error(), "its metadata item "+tagsItem+" was changed; end it by hand")
		}
		maps.Copy(tags, rest)
	}
	delete(tags, restLabel)
	launched, _ := time.Parse(time.RFC3339, i.GetCreationTimestamp())
	l.instance = providers.Instance{
		ID: l.id.String(), State: stateOf(i.GetStatus()), Tags: tags, Launched: launched.UTC(),
		Offer: c.offerOf(i),
		Where: fmt.Sprintf("https://console.cloud.google.com/compute/instancesDetail/zones/%s/instances/%s?project=%s", l.id.zone, l.id.name, c.key.project),
	}
	return l, nil
}

// restOf reads the tags in an instance's metadata.
func restOf(i *computepb.Instance) (map[string]string, error) {
	rest := map[string]string{}
	for _, item := range i.GetMetadata().GetItems() {
		if item.GetKey() == tagsItem {
			return rest, json.Unmarshal([]byte(item.GetValue()), &rest)
		}
	}
	return rest, nil
}

// get asks for one incarnation of an instance.
func (c *cloud) get(ctx context.Context, op string, id instanceID) (*computepb.Instance, error) {
	var found *computepb.Instance
	err := c.ask(ctx, op, "instances.get", apiRead, func(ctx context.Context) (err error) {
		found, err = c.instances.Get(ctx, &computepb.GetInstanceRequest{Project: c.key.project, Zone: id.zone, Instance: id.target()}, noRetry)
		return err
	})
	return found, err
}

// offerOf is what an instance was rented as: with price and size when the pool
// was offered in this process, else the pool alone.
func (c *cloud) offerOf(i *computepb.Instance) providers.Offer {
	offer := providers.Offer{
		Zone: path.Base(i.GetZone()), InstanceType: joinType(path.Base(i.GetMachineType()), i.GetGuestAccelerators()),
		Capacity: providers.OnDemand, OS: "linux",
	}
	if i.GetScheduling().GetProvisioningModel() == computepb.Scheduling_SPOT.String() {
		offer.Capacity = providers.Spot
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if known, ok := c.known[offer.Pool()]; ok {
		return known
	}
	return offer
}

// states of an instance: https://cloud.google.com/compute/docs/instances/instance-lifecycle.
// TERMINATED is Compute's word for stopped: its disk is kept and costs. One
// that is being repaired comes to a stop, since ours are not restarted.
var states = map[string]providers.InstanceState{
	"PENDING":        providers.StatePending,
	"PROVISIONING":   providers.StatePending,
	"STAGING":        providers.StatePending,
	"RUNNING":        providers.StateRunning,
	"REPAIRING":      providers.StateStopping,
	"PENDING_STOP":   providers.StateStopping,
	"STOPPING":       providers.StateStopping,
	"SUSPENDING":     providers.StateStopping,
	"DEPROVISIONING": providers.StateStopping,
	"STOPPED":        providers.StateStopped,
	"SUSPENDED":      providers.StateStopped,
	"TERMINATED":     providers.StateStopped,
}

// stateOf is a status of Compute's in the contract's words; one that is new is
// taken for running, so that nothing is held to be gone that may not be.
func stateOf(status string) providers.InstanceState {
	if state, ok := states[status]; ok {
		return state
	}
	return providers.StateRunning
}
