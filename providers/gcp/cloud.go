package gcp

import (
	"context"
	"errors"
	"net/http"
	"sync"

	compute "cloud.google.com/go/compute/apiv1"
	"google.golang.org/api/option"
	htransport "google.golang.org/api/transport/http"

	"github.com/spotrelay/spotrelay/providers"
)

// cloudKey is what clients, limits and caches are shared by.
type cloudKey struct {
	project, region, endpoint, billing string
	anonymous                          bool
}

// cloud is a region of a project: the clients, bounded in their rates, and what
// was read of it and changes slowly. It holds nothing that cannot be read anew.
type cloud struct {
	key    cloudKey
	limits limits
	http   *http.Client // nil until a call needs it
	clock  clock

	regions          *compute.RegionsClient
	projects         *compute.ProjectsClient
	networks         *compute.NetworksClient
	subnetworks      *compute.SubnetworksClient
	images           *compute.ImagesClient
	machineTypes     *compute.MachineTypesClient
	acceleratorTypes *compute.AcceleratorTypesClient
	instances        *compute.InstancesClient
	regionInstances  *compute.RegionInstancesClient
	regionOperations *compute.RegionOperationsClient
	zoneOperations   *compute.ZoneOperationsClient

	mu     sync.Mutex
	opened bool

	place    cache[place]                       // the region, by ""
	machines cache[[]machine]                   // by zone
	known    map[providers.Pool]providers.Offer // offers by pool, as last given
	ours     map[uint64]bool                    // numbers of instances that bear our tags
}

// cloud of a fleet. The clients are made at the first call that needs them, so
// that missing credentials are the error of that call.
func (p *Provider) cloud(ctx context.Context, op string, c config) (*cloud, error) {
	if err := ctx.Err(); err != nil {
		return nil, wrap(op, "", err)
	}
	key := cloudKey{c.Project, c.Region, c.Endpoint, c.BillingEndpoint, c.Anonymous}
	p.mu.Lock()
	found := p.clouds[key]
	if found == nil {
		found = &cloud{key: key, limits: newLimits(p.options.Rates), known: map[providers.Pool]providers.Offer{}, ours: map[uint64]bool{}}
		p.clouds[key] = found
	}
	p.mu.Unlock()
	found.mu.Lock()
	defer found.mu.Unlock()
	if found.opened {
		return found, nil
	}
	if err := found.open(); err != nil {
		return nil, fault(op, providers.CodeDenied, err.Error(),
			"give credentials: gcloud auth application-default login, or GOOGLE_APPLICATION_CREDENTIALS, or run where a service account is attached")
	}
	found.opened = true
	return found, nil
}

// open makes the clients. They outlive the call, so they are given no context
// of it, and share one connection pool and one source of tokens.
func (c *cloud) open() error {
	ctx := context.Background()
	authentication := option.WithScopes(compute.DefaultAuthScopes()...)
	if c.key.anonymous || loopback(c.key.endpoint) {
		authentication = option.WithoutAuthentication()
	}
	client, _, err := htransport.NewClient(ctx, authentication, option.WithTelemetryDisabled(), option.WithUserAgent("spotrelay/"+version))
	if err != nil {
		return err
	}
	client.Transport = listening{client.Transport, &c.clock}
	c.http = client
	options := []option.ClientOption{option.WithHTTPClient(client), option.WithTelemetryDisabled()}
	if c.key.endpoint != "" {
		options = append(options, option.WithEndpoint(c.key.endpoint))
	}
	var errs [11]error
	c.regions, errs[0] = compute.NewRegionsRESTClient(ctx, options...)
	c.projects, errs[1] = compute.NewProjectsRESTClient(ctx, options...)
	c.networks, errs[2] = compute.NewNetworksRESTClient(ctx, options...)
	c.subnetworks, errs[3] = compute.NewSubnetworksRESTClient(ctx, options...)
	c.images, errs[4] = compute.NewImagesRESTClient(ctx, options...)
	c.machineTypes, errs[5] = compute.NewMachineTypesRESTClient(ctx, options...)
	c.acceleratorTypes, errs[6] = compute.NewAcceleratorTypesRESTClient(ctx, options...)
	c.instances, errs[7] = compute.NewInstancesRESTClient(ctx, options...)
	c.regionInstances, errs[8] = compute.NewRegionInstancesRESTClient(ctx, options...)
	c.regionOperations, errs[9] = compute.NewRegionOperationsRESTClient(ctx, options...)
	c.zoneOperations, errs[10] = compute.NewZoneOperationsRESTClient(ctx, options...)
	return errors.Join(errs[:]...)
}

// remember notes that instances bear our tags, which Terminate asks for.
func (c *cloud) remember(numbers ...uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	const enough = 1 << 20
	if len(c.ours) > enough {
		clear(c.ours) // they are looked up anew
	}
	for _, number := range numbers {
		c.ours[number] = true
	}
}

func (c *cloud) isOurs(number uint64) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ours[number]
}
