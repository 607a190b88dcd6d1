package gcp

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"

	"cloud.google.com/go/compute/apiv1/computepb"

	"github.com/spotrelay/spotrelay/providers"
)

// Check implements providers.Provider: the identity may read the project, and
// region, zones, network, images, machine types and quotas are there. It rents
// nothing and changes nothing, so what the identity may rent shows at the first
// launch only.
func (p *Provider) Check(ctx context.Context, fleet providers.Fleet) ([]providers.Fault, error) {
	const op = "check"
	if err := ctx.Err(); err != nil {
		return nil, wrap(op, "", err)
	}
	config, faults := readConfig(fleet.Config)
	if len(faults) > 0 {
		return faults, nil
	}
	c, err := p.cloud(ctx, op, config)
	if err != nil {
		return asFaults(err, nil)
	}
	k := &checker{p: p, c: c, config: config}
	for i, step := range k.steps() {
		if step.look(ctx); i == 0 && len(k.faults) > 0 {
			return k.faults, k.failed
		}
		if k.failed != nil {
			return nil, k.failed
		}
	}
	return k.faults, nil
}

// checker gathers what is wrong. failed is an error that says nothing of the
// fleet, such as no answer.
type checker struct {
	p      *Provider
	c      *cloud
	config config
	faults []providers.Fault
	failed error

	region  *place               // nil: not known
	byZone  map[string][]machine // nil: not known
	found   string               // by the step, where all is well
	skipped bool                 // what the step needs is not known
}

// step is one thing to look at.
type step struct {
	name string
	look func(context.Context)
}

func (k *checker) steps() []step {
	return []step{
		{"identity", k.project}, {"region", k.place}, {"machine types", k.machines}, {"quotas", k.quotas},
		{"prices", k.prices}, {"network", k.network}, {"image", k.images},
	}
}

func (k *checker) add(severity providers.Severity, path []string, summary, detail string) {
	k.faults = append(k.faults, providers.Fault{Severity: severity, Path: path, Summary: summary, Detail: detail})
}

// look asks for something that an attribute names. It reports whether it is
// there.
func (k *checker) look(ctx context.Context, attribute []string, call, missing string, f func(context.Context) error) bool {
	err := k.c.ask(ctx, "check", call, apiRead, f)
	if err == nil {
		return true
	}
	if providers.CodeOf(err) == providers.CodeNotFound {
		k.add(providers.SeverityError, attribute, missing, "Correct the fleet's "+attribute[0]+". Compute says: "+messageIn(err))
		return false
	}
	faults, err := asFaults(err, attribute)
	k.faults, k.failed = append(k.faults, faults...), errors.Join(k.failed, err)
	return false
}

// asFaults makes a fault of an error about the fleet or the identity; another
// one is returned.
func asFaults(err error, attribute []string) ([]providers.Fault, error) {
	var known *providers.Error
	if !asProviders(err, &known) || !known.Code.Final() {
		return nil, err
	}
	summary := known.Message
	if known.Call != "" {
		summary = known.Call + ": " + summary
	}
	detail := known.Hint
	if detail != "" {
		detail = strings.ToUpper(detail[:1]) + detail[1:] + "."
	}
	return []providers.Fault{{Severity: providers.SeverityError, Path: attribute, Summary: summary, Detail: detail}}, nil
}

func messageIn(err error) string {
	var known *providers.Error
	if asProviders(err, &known) {
		return known.Message
	}
	return err.Error()
}

func (k *checker) project(ctx context.Context) {
	k.found = "it may read the project " + k.config.Project + "; what it may rent, a launch alone tells"
	k.look(ctx, []string{"project"}, "projects.get", fmt.Sprintf("There is no project %q that this identity can see", k.config.Project), func(ctx context.Context) error {
		_, err := k.c.projects.Get(ctx, &computepb.GetProjectRequest{Project: k.config.Project}, noRetry)
		return err
	})
}

func (k *checker) place(ctx context.Context) {
	var region place
	there := k.look(ctx, []string{"region"}, "regions.get", "", func(ctx context.Context) (err error) {
		region, err = k.c.readPlace(ctx, "check")
		return err
	})
	if !there {
		return
	}
	k.region = &region
	k.found = k.config.Region + ", " + strings.Join(region.rentable(k.config), ", ")
	for i, zone := range k.config.Zones {
		if !slices.Contains(region.zones, zone) {
			k.add(providers.SeverityError, []string{"zones", strconv.Itoa(i)}, fmt.Sprintf("The region %s has no zone %q", k.config.Region, zone), "Its zones are "+strings.Join(region.zones, ", ")+".")
		}
	}
}

// machines wants each glob of machine types to let something through.
func (k *checker) machines(ctx context.Context) {
	if k.skipped = k.region == nil; k.skipped {
		return
	}
	byZone, err := k.c.machinesOf(ctx, "check", k.region.rentable(k.config))
	if err != nil {
		faults, err := asFaults(err, []string{"zones"})
		k.faults, k.failed = append(k.faults, faults...), errors.Join(k.failed, err)
		return
	}
	k.byZone = byZone
	k.found = "all that have a price"
	if len(k.config.MachineTypes) > 0 {
		k.found = strings.Join(k.config.MachineTypes, ", ")
	}
	for i, glob := range k.config.MachineTypes {
		matches := func(m machine) bool { ok, err := path.Match(glob, m.base); return ok && err == nil }
		found := false
		for _, machines := range byZone {
			found = found || slices.ContainsFunc(machines, matches)
		}
		if !found {
			k.add(providers.SeverityError, []string{"machine_types", strconv.Itoa(i)}, fmt.Sprintf("No machine type in the fleet's zones is called %q", glob), "gcloud compute machine-types list --zones="+strings.Join(keysOf(byZone), ",")+" shows what there is.")
		}
	}
}

func (k *checker) quotas(context.Context) {
	if k.skipped = k.region == nil; k.skipped {
		return
	}
	quotas := k.region.quotas
	if limit, ok := quotas["CPUS"]; ok && limit < 1 && quotas["PREEMPTIBLE_CPUS"] < 1 {
		k.add(providers.SeverityError, []string{"region"}, "The project has no quota for CPUs in "+k.config.Region, "Ask for the quotas CPUS and PREEMPTIBLE_CPUS, or use another region.")
	}
	if addresses, ok := quotas["IN_USE_ADDRESSES"]; ok && k.config.externalIP && addresses < 1 {
		k.add(providers.SeverityError, []string{"external_ip"}, "The project has no quota for external addresses in "+k.config.Region, "Set external_ip = false where Private Google Access or Cloud NAT is set up, or ask for the quota IN_USE_ADDRESSES.")
	}
	k.found = "no bound on instances"
	if limit := k.region.fleetLimit(k.config); limit > 0 {
		k.found = fmt.Sprintf("%d instances at once", limit)
	}
}

func (k *checker) prices(ctx context.Context) {
	if k.skipped = k.region == nil; k.skipped {
		return
	}
	k.found = "the Cloud Billing catalogue"
	if k.p.prices(ctx, k.c).builtIn {
		k.add(providers.SeverityWarning, nil, "Prices are those of a table of "+pricesOn+", since the Cloud Billing catalogue cannot be read",
			"They put offers in order and reckon max_cost. Enable the Cloud Billing API in the project (gcloud services enable cloudbilling.googleapis.com).")
	}
}

func (k *checker) network(ctx context.Context) {
	k.found = orText(k.config.Subnetwork, k.config.Network)
	if name := k.config.Network; name != "" {
		k.look(ctx, []string{"network"}, "networks.get", fmt.Sprintf("There is no network %q", name), func(ctx context.Context) error {
			_, err := k.c.networks.Get(ctx, &computepb.GetNetworkRequest{Project: projectIn(name, k.config.Project), Network: path.Base(name)}, noRetry)
			return err
		})
	}
	if name := k.config.Subnetwork; name != "" && k.failed == nil {
		region := k.config.Region
		k.look(ctx, []string{"subnetwork"}, "subnetworks.get", fmt.Sprintf("There is no subnetwork %q in %s", name, region), func(ctx context.Context) error {
			_, err := k.c.subnetworks.Get(ctx, &computepb.GetSubnetworkRequest{Project: projectIn(name, k.config.Project), Region: region, Subnetwork: path.Base(name)}, noRetry)
			return err
		})
	}
}

// images wants an image for each architecture, fitting the disk and not of the
// other architecture.
func (k *checker) images(ctx context.Context) {
	var names []string
	defer func() { k.found = strings.Join(names, ", ") }()
	for _, arch := range keysOf(k.config.images) {
		i := k.config.images[arch]
		names = append(names, i.String())
		attribute := []string{"image"}
		if arch == archARM64 && k.config.ImageARM64 != "" {
			attribute = []string{"image_arm64"}
		}
		var found *computepb.Image
		call := "images.get"
		if i.family {
			call = "images.getFromFamily"
		}
		there := k.look(ctx, attribute, call, fmt.Sprintf("There is no image %s", i), func(ctx context.Context) (err error) {
			if i.family {
				found, err = k.c.images.GetFromFamily(ctx, &computepb.GetFromFamilyImageRequest{Project: i.project, Family: i.name}, noRetry)
			} else {
				found, err = k.c.images.Get(ctx, &computepb.GetImageRequest{Project: i.project, Image: i.name}, noRetry)
			}
			return err
		})
		if k.failed != nil {
			return
		}
		if !there {
			continue
		}
		if is := found.GetArchitecture(); is == "ARM64" && arch == archAMD64 || is == "X86_64" && arch == archARM64 {
			k.add(providers.SeverityError, attribute, fmt.Sprintf("The image %s is for %s", i, is), "image is for x86 machines, image_arm64 for Arm machines.")
		}
		if least := found.GetDiskSizeGb(); least > k.config.diskGB {
			k.add(providers.SeverityError, []string{"disk_size"}, fmt.Sprintf("The image %s needs a disk of %d GiB", i, least), fmt.Sprintf(`Set disk_size = "%dGiB" or more.`, least))
		}
	}
}

// projectIn is the project of a resource's path; a name is in the fleet's own.
func projectIn(name, project string) string {
	_, rest, ok := strings.Cut("/"+name, "/projects/")
	if !ok {
		return project
	}
	found, _, _ := strings.Cut(rest, "/")
	return found
}
