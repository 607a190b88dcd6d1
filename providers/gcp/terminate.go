package gcp

import (
	"context"
	"fmt"
	"path"
	"time"

	"cloud.google.com/go/compute/apiv1/computepb"
	"golang.org/x/sync/errgroup"

	"github.com/spotrelay/spotrelay/providers"
)

// atOnce is how many calls about single instances are under way at the same
// time; their rate is bounded by itself.
const atOnce = 32

// Terminate implements providers.Provider. Compute deletes one instance a call,
// so a thousand cost a thousand calls, as fast as its quota allows; none is
// waited for. The instance is named by its number: a later one that bears the
// same name is safe. Whether it is ours is known when this process listed or
// launched it, and is asked for otherwise.
func (p *Provider) Terminate(ctx context.Context, fleet providers.Fleet, ids []string) error {
	const op = "terminate"
	config, err := requireConfig(op, fleet)
	if err != nil {
		return err
	}
	c, err := p.cloud(ctx, op, config)
	if err != nil {
		return err
	}
	if err := c.refuseStrangers(ctx, op, ids); err != nil {
		return err
	}
	return each(ctx, ids, func(ctx context.Context, _ int, id instanceID) error {
		if !c.isOurs(id.number) {
			return nil // it was gone already
		}
		requestID := endRequest(markTerminate, id.number)
		err := c.ask(ctx, op, "instances.delete", apiMutate, func(ctx context.Context) error {
			_, err := c.instances.Delete(ctx, &computepb.DeleteInstanceRequest{
				Project: c.key.project, Zone: id.zone, Instance: id.target(), RequestId: &requestID,
			}, noRetry)
			return err
		})
		if providers.CodeOf(err) == providers.CodeNotFound {
			return nil
		}
		return err
	})
}

// refuseStrangers fails when one of the instances lives and does not bear our
// tags. Those that do are remembered.
func (c *cloud) refuseStrangers(ctx context.Context, op string, ids []string) error {
	return each(ctx, ids, func(ctx context.Context, _ int, id instanceID) error {
		if c.isOurs(id.number) {
			return nil
		}
		tags, err := c.tags(ctx, op, id)
		switch {
		case providers.CodeOf(err) == providers.CodeNotFound:
			return nil
		case err != nil:
			return err
		case !ours(tags):
			return fault(op, providers.CodeNotOurs, fmt.Sprintf("the instance %s in %s does not bear spotrelay's labels", id.name, id.zone), "nothing was ended; end it with its own tools")
		}
		c.remember(id.number)
		return nil
	})
}

// tags of a living instance.
func (c *cloud) tags(ctx context.Context, op string, id instanceID) (map[string]string, error) {
	i, err := c.get(ctx, op, id)
	if err != nil {
		return nil, err
	}
	tags, _ := tagsOf(i.GetLabels())
	return tags, nil
}

// each calls f for each of the ids that can be one of ours, at the same time.
// Others name nothing that there is.
func each(ctx context.Context, ids []string, f func(context.Context, int, instanceID) error) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(atOnce)
	for i, text := range ids {
		id, ok := parseID(text)
		if !ok {
			continue
		}
		group.Go(func() error { return f(ctx, i, id) })
	}
	return group.Wait()
}

// consoleTail is how much of the console output is given, in bytes.
const consoleTail = 64 << 10

// Console implements providers.Console: the end of the first serial port's
// output, which Compute keeps for as long as the instance is there.
func (p *Provider) Console(ctx context.Context, fleet providers.Fleet, text string) (string, error) {
	const op = "console"
	c, id, err := p.instance(ctx, op, fleet, text)
	if err != nil {
		return "", err
	}
	output := ""
	err = c.ask(ctx, op, "instances.getSerialPortOutput", apiSerial, func(ctx context.Context) error {
		answer, err := c.instances.GetSerialPortOutput(ctx, &computepb.GetSerialPortOutputInstanceRequest{
			Project: c.key.project, Zone: id.zone, Instance: id.target(), Port: ptr(int32(1)),
			Start: ptr(int64(-consoleTail)), // counted from the end
		}, noRetry)
		output = answer.GetContents()
		return err
	})
	return output[max(0, len(output)-consoleTail):], err
}

// Preempt implements providers.Preempter by a simulated maintenance event,
// which preempts a spot instance as Compute itself does. The notice is Compute's
// own: what the instance was rented with, and 30 seconds for its shutdown; the
// one that is asked for cannot be given.
func (p *Provider) Preempt(ctx context.Context, fleet providers.Fleet, text string, _ time.Duration) error {
	const op = "preempt"
	c, id, err := p.instance(ctx, op, fleet, text)
	if err != nil {
		return err
	}
	i, err := c.get(ctx, op, id)
	if err != nil {
		return err
	}
	if tags, _ := tagsOf(i.GetLabels()); !ours(tags) {
		return fault(op, providers.CodeNotOurs, fmt.Sprintf("the instance %s in %s does not bear spotrelay's labels", id.name, path.Base(i.GetZone())), "")
	}
	if i.GetScheduling().GetProvisioningModel() != computepb.Scheduling_SPOT.String() {
		return fault(op, providers.CodeConfiguration, "the instance "+id.name+" is no spot instance", "on-demand instances are not preempted")
	}
	return c.ask(ctx, op, "instances.simulateMaintenanceEvent", apiMutate, func(ctx context.Context) error {
		_, err := c.instances.SimulateMaintenanceEvent(ctx, &computepb.SimulateMaintenanceEventInstanceRequest{
			Project: c.key.project, Zone: id.zone, Instance: id.target(),
		}, noRetry)
		return err
	})
}

// instance is the cloud and the id that a call about one instance needs.
func (p *Provider) instance(ctx context.Context, op string, fleet providers.Fleet, text string) (*cloud, instanceID, error) {
	config, err := requireConfig(op, fleet)
	if err != nil {
		return nil, instanceID{}, err
	}
	c, err := p.cloud(ctx, op, config)
	if err != nil {
		return nil, instanceID{}, err
	}
	id, ok := parseID(text)
	if !ok {
		return nil, id, fault(op, providers.CodeNotFound, "there is no instance "+text, "an id is zone.name.number")
	}
	return c, id, nil
}
