package bridge

import (
	"context"
	"time"

	"google.golang.org/grpc"

	"github.com/spotrelay/spotrelay/plugins/proto"
	"github.com/spotrelay/spotrelay/providers"
)

// Client is a provider at the other end of a gRPC connection. It implements
// providers.Console, Preempter and Checker always; without the capability
// they answer CodeUnsupported. It repeats nothing. Errors are
// *providers.Error, wrapped with ErrConnection when the plugin gave none and
// with the context's error when that ended.
type Client struct {
	rpc proto.ProviderClient
}

var (
	_ providers.Provider  = (*Client)(nil)
	_ providers.Console   = (*Client)(nil)
	_ providers.Preempter = (*Client)(nil)
	_ providers.Checker   = (*Client)(nil)
)

// NewClient makes a client on a connection, which stays the caller's to close.
func NewClient(connection grpc.ClientConnInterface) *Client {
	return &Client{rpc: proto.NewProviderClient(connection)}
}

// Describe implements providers.Provider.
func (c *Client) Describe(ctx context.Context) (providers.Description, error) {
	response, err := c.rpc.Describe(ctx, &proto.DescribeRequest{})
	if err != nil {
		return providers.Description{}, fromStatus(ctx, "describe", err)
	}
	return fromDescription(response.GetDescription()), nil
}

// Check implements providers.Provider.
func (c *Client) Check(ctx context.Context, fleet providers.Fleet) ([]providers.Fault, error) {
	response, err := c.rpc.Check(ctx, &proto.CheckRequest{Fleet: toFleet(fleet)})
	if err != nil {
		return nil, fromStatus(ctx, "check", err)
	}
	return each(response.GetFaults(), fromFault), nil
}

// Offers implements providers.Provider.
func (c *Client) Offers(ctx context.Context, fleet providers.Fleet, need providers.Need) ([]providers.Offer, error) {
	response, err := c.rpc.Offers(ctx, &proto.OffersRequest{Fleet: toFleet(fleet), Need: toNeed(need)})
	if err != nil {
		return nil, fromStatus(ctx, "offers", err)
	}
	return each(response.GetOffers(), fromOffer), nil
}

// Launch implements providers.Provider.
func (c *Client) Launch(ctx context.Context, fleet providers.Fleet, request providers.LaunchRequest) (providers.LaunchResult, error) {
	response, err := c.rpc.Launch(ctx, &proto.LaunchRequest{Fleet: toFleet(fleet), Launch: toLaunch(request)})
	if err != nil {
		return providers.LaunchResult{}, fromStatus(ctx, "launch", err)
	}
	return fromLaunchResult(response.GetResult()), nil
}

// List implements providers.Provider.
func (c *Client) List(ctx context.Context, fleet providers.Fleet, tags map[string]string) ([]providers.Instance, error) {
	response, err := c.rpc.List(ctx, &proto.ListRequest{Fleet: toFleet(fleet), Tags: tags})
	if err != nil {
		return nil, fromStatus(ctx, "list", err)
	}
	return each(response.GetInstances(), fromInstance), nil
}

// Terminate implements providers.Provider.
func (c *Client) Terminate(ctx context.Context, fleet providers.Fleet, ids []string) error {
	_, err := c.rpc.Terminate(ctx, &proto.TerminateRequest{Fleet: toFleet(fleet), Ids: ids})
	return fromStatus(ctx, "terminate", err)
}

// Evidence implements providers.Provider.
func (c *Client) Evidence(ctx context.Context, fleet providers.Fleet, ids []string) ([]providers.Evidence, error) {
	response, err := c.rpc.Evidence(ctx, &proto.EvidenceRequest{Fleet: toFleet(fleet), Ids: ids})
	if err != nil {
		return nil, fromStatus(ctx, "evidence", err)
	}
	return each(response.GetEvidence(), fromEvidence), nil
}

// Console implements providers.Console.
func (c *Client) Console(ctx context.Context, fleet providers.Fleet, id string) (string, error) {
	response, err := c.rpc.Console(ctx, &proto.ConsoleRequest{Fleet: toFleet(fleet), Id: id})
	if err != nil {
		return "", fromStatus(ctx, "console", err)
	}
	return string(response.GetOutput()), nil
}

// Preempt implements providers.Preempter.
func (c *Client) Preempt(ctx context.Context, fleet providers.Fleet, id string, notice time.Duration) error {
	_, err := c.rpc.Preempt(ctx, &proto.PreemptRequest{Fleet: toFleet(fleet), Id: id, Notice: toDuration(notice)})
	return fromStatus(ctx, "preempt", err)
}

// Checks implements providers.Checker.
func (c *Client) Checks(ctx context.Context, fleet providers.Fleet) ([]providers.Check, error) {
	response, err := c.rpc.Checks(ctx, &proto.ChecksRequest{Fleet: toFleet(fleet)})
	if err != nil {
		return nil, fromStatus(ctx, "checks", err)
	}
	return each(response.GetChecks(), fromCheck), nil
}
