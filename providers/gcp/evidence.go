package gcp

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"cloud.google.com/go/compute/apiv1/computepb"
	"github.com/googleapis/gax-go/v2/callctx"
	"golang.org/x/sync/errgroup"

	"github.com/spotrelay/spotrelay/providers"
)

// inFilter is how many numbers stand in one filter, so that the address of the
// request stays short.
const inFilter = 50

// Evidence implements providers.Provider. An instance's status never says why
// it ended; the operations of its zone do, for an hour to fourteen days. Both
// are asked for fifty instances of a zone at a time.
func (p *Provider) Evidence(ctx context.Context, fleet providers.Fleet, ids []string) ([]providers.Evidence, error) {
	const op = "evidence"
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
	found := make([]providers.Evidence, len(ids))
	byZone := map[string][]int{}
	parsed := make([]instanceID, len(ids))
	for i, text := range ids {
		found[i] = providers.Evidence{ID: text, Cause: providers.EndUnknown}
		if id, ok := parseID(text); ok && slices.Contains(region.zones, id.zone) {
			parsed[i] = id
			byZone[id.zone] = append(byZone[id.zone], i)
		}
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(atOnce)
	for zone, places := range byZone {
		for chunk := range slices.Chunk(places, inFilter) {
			group.Go(func() error {
				facts, err := c.facts(ctx, op, zone, parsed, chunk)
				if err != nil {
					return err
				}
				for _, i := range chunk {
					found[i] = judge(ids[i], parsed[i].number, facts[parsed[i].number], config.ServiceAccount)
				}
				return nil
			})
		}
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	return found, nil
}

// facts is what a zone knows of an instance.
type facts struct {
	there      bool
	status     string
	operations []*computepb.Operation
}

// facts of some instances in a zone, by number. The instances are read before
// the operations: whatever ended one that is not seen is then in the operations.
func (c *cloud) facts(ctx context.Context, op, zone string, ids []instanceID, places []int) (map[uint64]facts, error) {
	found := map[uint64]facts{}
	var byID, byTarget []string
	for _, i := range places {
		byID = append(byID, "(id="+ids[i].target()+")")
		byTarget = append(byTarget, "(targetId="+ids[i].target()+")")
	}
	instances, err := c.listZone(ctx, op, zone, strings.Join(byID, " OR "))
	if err != nil {
		return nil, err
	}
	for _, i := range instances {
		found[i.GetId()] = facts{there: true, status: i.GetStatus()}
	}
	operations, err := c.operations(ctx, op, zone, strings.Join(byTarget, " OR "))
	if err != nil {
		return nil, err
	}
	for _, o := range operations {
		f := found[o.GetTargetId()]
		f.operations = append(f.operations, o)
		found[o.GetTargetId()] = f
	}
	return found, nil
}

// operationFields are what is read of an operation.
const operationFields = "name,operationType,targetId,user,clientOperationId,status,statusMessage,insertTime,startTime,endTime,error,httpErrorStatusCode"

// operations gives the operations of a zone that a filter lets through.
func (c *cloud) operations(ctx context.Context, op, zone, filter string) ([]*computepb.Operation, error) {
	var all []*computepb.Operation
	const call = "zoneOperations.list"
	err := c.pages(ctx, op, call, apiList, func(ctx context.Context, token *string) (string, error) {
		ctx = callctx.SetHeaders(ctx, callctx.XGoogFieldMaskHeader, "nextPageToken,warning,items("+operationFields+")")
		it := c.zoneOperations.List(ctx, &computepb.ListZoneOperationsRequest{
			Project: c.key.project, Zone: zone, Filter: &filter, MaxResults: ptr(uint32(pageSize)), PageToken: token,
		}, noRetry)
		if err := first(it.Next()); err != nil {
			return "", err
		}
		page, _ := it.Response.(*computepb.OperationList)
		if err := incomplete(op, call, page.GetWarning()); err != nil {
			return "", err
		}
		all = append(all, page.GetItems()...)
		return page.GetNextPageToken(), nil
	})
	return all, err
}

// ending is what an operation on an instance means for its end.
type ending struct {
	cause providers.EndCause
	// grave: it counts whatever else happened, since what it began may be
	// finished by the instance itself, which leaves when it is told.
	grave bool
}

// endings are the operations by which an instance ends, apart from those that
// somebody asked for. Sources:
// https://cloud.google.com/compute/docs/instances/check-instance-status-or-stop-reason
// and https://cloud.google.com/compute/docs/troubleshooting/troubleshooting-reboots.
var endings = map[string]ending{
	"compute.instances.preempted":                    {providers.EndReclaimed, true},
	"compute.instances.hostError":                    {providers.EndHostEvent, true},
	"compute.instances.terminateOnHostMaintenance":   {providers.EndHostEvent, true},
	"compute.instances.stoppedDueToPdDoubleServe":    {providers.EndHostEvent, true},
	"compute.instances.localSsdInitializationError":  {providers.EndHostEvent, true},
	"compute.instances.localSsdRecoveryFailedError":  {providers.EndHostEvent, true},
	"compute.instances.localSsdRecoveryTimeoutError": {providers.EndHostEvent, true},
	"compute.instances.scratchDiskCreationFailed":    {providers.EndHostEvent, true},
	"compute.instances.baremetalCaretakerPreempted":  {providers.EndHostEvent, true},
	"compute.instances.guestTerminate":               {providers.EndFromInside, false},
	// At the end of maxRunDuration, by its action; the pages above lack them.
	"compute.instances.deferredDelete": {providers.EndMaxLife, false},
	"compute.instances.deferredStop":   {providers.EndMaxLife, false},
	"compute.instances.kmsKeyError":    {providers.EndConfiguration, true},
	"compute.instances.invalidVmImage": {providers.EndConfiguration, true},
}

// asked are the operations that somebody asks for; Operation.User says who.
var asked = map[string]bool{"delete": true, "stop": true, "suspend": true, "compute.instances.delete": true, "compute.instances.stop": true}

// judge says why an instance ended, by its status and its operations: the
// earliest that ended it, a grave one before the others.
func judge(id string, number uint64, f facts, serviceAccount string) providers.Evidence {
	e := providers.Evidence{ID: id, Cause: providers.EndUnknown}
	if f.there {
		e.State = stateOf(f.status)
	}
	var best *computepb.Operation
	var is ending
	slices.SortStableFunc(f.operations, func(a, b *computepb.Operation) int { return cmp.Compare(timeOf(a), timeOf(b)) })
	for _, o := range f.operations {
		now, ok := endingOf(o, number, serviceAccount)
		if ok && (best == nil || now.grave && !is.grave && is.cause != providers.EndByUs) {
			best, is = o, now
		}
	}
	switch {
	case best == nil && (e.State == providers.StatePending || e.State == providers.StateRunning):
		e.Cause = providers.EndRunning
		return e
	case best == nil:
		return e
	}
	e.Cause, e.Code, e.Message = is.cause, best.GetOperationType(), messageOf(best)
	if at, err := time.Parse(time.RFC3339, orText(best.GetEndTime(), best.GetStartTime(), best.GetInsertTime())); err == nil {
		e.At = at.UTC()
	}
	if !f.there {
		e.State = providers.StateTerminated
	}
	if e.Cause == providers.EndReclaimed && e.State == providers.StateRunning {
		e.Cause = providers.EndNoticed
	}
	return e
}

// endingOf reads one operation; false for one that ends nothing.
func endingOf(o *computepb.Operation, number uint64, serviceAccount string) (ending, bool) {
	kind := o.GetOperationType()
	failed := o.GetError() != nil && len(o.GetError().GetErrors()) > 0
	if known, ok := endings[kind]; ok {
		return known, true
	}
	switch {
	case strings.HasSuffix(strings.ToLower(kind), "insert") && failed:
		return ending{causeOfFailure(o), true}, true
	case !asked[kind] || failed:
		return ending{}, false
	}
	switch endMark(o.GetClientOperationId(), number) {
	case markTerminate:
		return ending{providers.EndByUs, false}, true
	case markLeave:
		return ending{providers.EndFromInside, false}, true
	}
	switch user := o.GetUser(); {
	case user == "" || serviceAgent(user):
		// Nobody but the leash is left: what a host or a reclaim does has an
		// operation of its own, which is grave.
		return ending{providers.EndMaxLife, false}, true
	case serviceAccount != "" && user == serviceAccount:
		return ending{providers.EndFromInside, false}, true
	}
	return ending{providers.EndByUser, false}, true
}

// serviceAgent reports whether a user is Google itself:
// https://cloud.google.com/iam/docs/service-agents.
func serviceAgent(user string) bool {
	host := user[strings.LastIndex(user, "@")+1:]
	switch {
	case user == "system", host == "google.com" && strings.HasPrefix(user, "system@"), host == "cloudservices.gserviceaccount.com":
		return true
	}
	return strings.HasPrefix(user, "service-") && strings.HasSuffix(host, ".iam.gserviceaccount.com")
}

// causeOfFailure: an insert that failed has the reason as its error.
func causeOfFailure(o *computepb.Operation) providers.EndCause {
	for _, item := range o.GetError().GetErrors() {
		switch codeOfOperation(item.GetCode()) {
		case providers.CodeCapacity, providers.CodeSubnet:
			return providers.EndCapacity
		case providers.CodeQuota, providers.CodeDenied, providers.CodeConfiguration, providers.CodeUnsupported:
			return providers.EndConfiguration
		}
	}
	return providers.EndHostEvent
}

// messageOf is what an operation says, in the cloud's own words.
func messageOf(o *computepb.Operation) string {
	var words []string
	for _, item := range o.GetError().GetErrors() {
		words = append(words, fmt.Sprintf("%s: %s", item.GetCode(), item.GetMessage()))
	}
	if len(words) == 0 && o.GetStatusMessage() != "" {
		words = append(words, o.GetStatusMessage())
	}
	if len(words) == 0 && o.GetUser() != "" {
		words = append(words, o.GetOperationType()+" by "+o.GetUser())
	}
	return strings.Join(words, "; ")
}

// timeOf orders operations; texts of the same form and zone compare as times
// do, others are read.
func timeOf(o *computepb.Operation) int64 {
	at, err := time.Parse(time.RFC3339, orText(o.GetInsertTime(), o.GetStartTime(), o.GetEndTime()))
	if err != nil {
		return 0
	}
	return at.UnixNano()
}
