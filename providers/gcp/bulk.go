package gcp

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"cloud.google.com/go/compute/apiv1/computepb"

	"github.com/spotrelay/spotrelay/providers"
)

const bulkCall = "regionInstances.bulkInsert"

// bulk makes one bulk insert and waits for its end. It returns how many
// instances it made, as the operation says; what it did not make is noted as
// failures. An error leaves open whether it made any.
func (l *launch) bulk(ctx context.Context, w wave, count int) (int, error) {
	const op = "launch"
	number := l.bulks
	l.bulks++
	for _, zone := range w.zones {
		l.zones[zone] = true
	}
	body, err := l.body(w, number, count)
	if err != nil {
		return 0, err
	}
	requestID := launchRequestID(l.config.Project, l.request.Token, number)
	operation, err := l.insert(ctx, body, requestID)
	switch code := providers.CodeOf(err); {
	case code == providers.CodeTokenMismatch:
		// The names are taken, or the request id is: it is ours from before, or
		// another request under our token. The listing tells.
		return l.existing(ctx, w, number, err)
	case code == providers.CodeThrottled, code == providers.CodeUnavailable:
		return 0, err
	case err != nil:
		if mismatch := l.mismatch(ctx, w, code); mismatch != nil {
			return 0, mismatch
		}
		l.refused(w, code, err)
		return 0, nil
	}
	operation, err = l.c.wait(ctx, op, operation)
	if err != nil {
		return 0, err
	}
	made := madeBy(operation)
	if taken(operation) {
		return l.existing(ctx, w, number, nil)
	}
	if made < count {
		if err := l.shortfall(ctx, w, operation); err != nil {
			return made, err
		}
	}
	return made, nil
}

// insert asks for a bulk insert; it may be repeated, by its request id.
func (l *launch) insert(ctx context.Context, body *computepb.BulkInsertInstanceResource, requestID string) (*computepb.Operation, error) {
	var operation *computepb.Operation
	err := l.c.ask(ctx, "launch", bulkCall, apiMutate, func(ctx context.Context) error {
		got, err := l.c.regionInstances.BulkInsert(ctx, &computepb.BulkInsertRegionInstanceRequest{
			Project: l.config.Project, Region: l.config.Region, RequestId: &requestID, BulkInsertInstanceResourceResource: body,
		}, noRetry)
		if err == nil {
			operation = got.Proto()
		}
		return err
	})
	return operation, err
}

// wait waits for the end of an operation of the region. Each request for it
// hangs until the operation ends, two minutes at most.
func (c *cloud) wait(ctx context.Context, op string, operation *computepb.Operation) (*computepb.Operation, error) {
	for operation.GetStatus() != computepb.Operation_DONE {
		err := c.hang(ctx, op, "regionOperations.wait", func(ctx context.Context) error {
			got, err := c.regionOperations.Wait(ctx, &computepb.WaitRegionOperationRequest{
				Project: c.key.project, Region: c.key.region, Operation: operation.GetName(),
			}, noRetry)
			if err == nil {
				operation = got
			}
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return operation, nil
}

// madeBy is how many instances a bulk insert has made.
func madeBy(operation *computepb.Operation) int {
	made := 0
	for _, location := range operation.GetInstancesBulkInsertOperationMetadata().GetPerLocationStatus() {
		made += int(location.GetCreatedVmCount() - location.GetDeletedVmCount())
	}
	return made
}

// taken reports whether an operation failed since its names exist.
func taken(operation *computepb.Operation) bool {
	return slices.ContainsFunc(operation.GetError().GetErrors(), func(e *computepb.Errors) bool {
		return codeOfOperation(e.GetCode()) == providers.CodeTokenMismatch
	})
}

// existing counts the instances of a bulk insert that was made before. Those of
// another request are told apart when the result is put together; none at all
// means that the names or the request id are somebody else's.
func (l *launch) existing(ctx context.Context, w wave, number int, refused error) (int, error) {
	found, err := l.c.list(ctx, "launch", w.zones, map[string]string{providers.TagIntent: l.request.Token})
	if err != nil {
		return 0, err
	}
	made := 0
	prefix := strings.TrimSuffix(instanceName(l.request.Token, number, 0), "0000")
	for _, f := range found {
		if strings.HasPrefix(f.id.name, prefix) {
			made++
		}
	}
	if len(found) == 0 {
		message := "instances of the same names exist in the region, and they are not of this launch"
		if refused != nil {
			message = refused.Error()
		}
		return 0, fault("launch", providers.CodeTokenMismatch, message, "make one token per launch and repeat its request unchanged")
	}
	return made, nil
}

// mismatch tells a request that is wrong by itself from one that differs from an
// earlier one under the token: a request id that comes again with other
// parameters is refused with the code of any wrong parameter.
func (l *launch) mismatch(ctx context.Context, w wave, code providers.Code) error {
	if code != providers.CodeConfiguration {
		return nil
	}
	found, err := l.c.list(ctx, "launch", w.zones, map[string]string{providers.TagIntent: l.request.Token})
	if err != nil {
		return err
	}
	if slices.ContainsFunc(found, func(f listed) bool { return f.digest != l.digest }) {
		return otherRequest(l.request.Token)
	}
	return nil
}

func otherRequest(token string) error {
	return fault("launch", providers.CodeTokenMismatch, "the token "+token+" was used with another request", "make one token per launch and repeat its request unchanged")
}

// refused notes a bulk insert that was not accepted at all.
func (l *launch) refused(w wave, code providers.Code, err error) {
	var known *providers.Error
	if !asProviders(err, &known) {
		return
	}
	if code == providers.CodeNotFound { // the project, the network: nothing of an instance
		code = providers.CodeConfiguration
		other := *known
		other.Code = code
		known = &other
	}
	if code.Final() {
		l.final = known
	}
	for _, r := range w.rentals {
		l.fail(r.offer, code, known.Message)
	}
}

// shortfall notes why a bulk insert gave fewer than asked for: by the errors of
// the operation itself, and by those of the inserts in its group.
func (l *launch) shortfall(ctx context.Context, w wave, operation *computepb.Operation) error {
	for _, e := range operation.GetError().GetErrors() {
		l.blame(w, zoneIn(e, w.zones), e)
	}
	group := operation.GetOperationGroupId()
	if group == "" {
		return nil
	}
	status := operation.GetInstancesBulkInsertOperationMetadata().GetPerLocationStatus()
	for location, s := range status {
		zone := strings.TrimPrefix(location, "zones/")
		if s.GetFailedToCreateVmCount() == 0 && s.GetCreatedVmCount() >= s.GetTargetVmCount() {
			continue
		}
		inserts, err := l.c.operations(ctx, "launch", zone, fmt.Sprintf(`(operationGroupId="%s") AND (operationType="insert")`, group))
		if err != nil {
			return err
		}
		for _, insert := range inserts {
			if len(insert.GetError().GetErrors()) > 0 {
				l.failed[insert.GetTargetId()] = true
			}
			for _, e := range insert.GetError().GetErrors() {
				l.blame(w, zone, e)
			}
		}
	}
	return nil
}

// blame notes an error of an operation for the offers that it reaches: those of
// its zone, or all of the wave when it is about more or names none.
func (l *launch) blame(w wave, zone string, e *computepb.Errors) {
	code := codeOfOperation(e.GetCode())
	message := e.GetCode() + ": " + e.GetMessage()
	if code == providers.CodeQuota {
		for _, detail := range e.GetErrorDetails() {
			if q := detail.GetQuotaInfo(); q.GetMetricName() != "" {
				message += fmt.Sprintf(" (%s, limit %g)", orText(q.GetLimitName(), q.GetMetricName()), q.GetLimit())
			}
		}
	}
	if code.Final() && l.final == nil {
		l.final = &providers.Error{Code: code, Op: "launch", Call: "compute." + bulkCall, Message: message, Hint: hintFor(code, message)}
	}
	local := zone != "" && rules[e.GetCode()].reach == reachZone
	for _, r := range w.rentals {
		if !local || r.offer.Zone == zone {
			l.fail(r.offer, code, message)
		}
	}
}

// zoneIn is the zone that an error is about; "" when it names none.
func zoneIn(e *computepb.Errors, zones []string) string {
	for _, zone := range zones {
		if e.GetLocation() == zone || strings.HasSuffix(e.GetLocation(), "/zones/"+zone) || strings.Contains(e.GetMessage(), "zones/"+zone+"'") {
			return zone
		}
	}
	return ""
}
