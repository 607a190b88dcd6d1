package gcp

import (
	"fmt"
	"strings"
	"time"

	"cloud.google.com/go/compute/apiv1/computepb"

	"github.com/spotrelay/spotrelay/providers"
)

// diskRoom is what a boot disk has beside what a task asks for, in GiB: the
// system, and the agent's own files.
const diskRoom = 10

// body is the bulk insert of a wave.
func (l *launch) body(w wave, bulk, count int) (*computepb.BulkInsertInstanceResource, error) {
	properties, err := l.properties(w)
	if err != nil {
		return nil, err
	}
	body := &computepb.BulkInsertInstanceResource{
		Count: ptr(int64(count)), MinCount: ptr(int64(1)),
		InstanceProperties: properties,
		LocationPolicy: &computepb.LocationPolicy{
			Locations:   map[string]*computepb.LocationPolicyLocation{},
			TargetShape: ptr(computepb.LocationPolicy_ANY.String()),
		},
		PerInstanceProperties: map[string]*computepb.BulkInsertInstanceResourcePerInstanceProperties{},
	}
	for index := range count {
		body.PerInstanceProperties[instanceName(l.request.Token, bulk, index)] = &computepb.BulkInsertInstanceResourcePerInstanceProperties{}
	}
	// A zone that is not named is allowed.
	for _, zone := range l.region.zones {
		preference := computepb.LocationPolicyLocation_DENY
		for _, wanted := range w.zones {
			if wanted == zone {
				preference = computepb.LocationPolicyLocation_ALLOW
			}
		}
		body.LocationPolicy.Locations["zones/"+zone] = &computepb.LocationPolicyLocation{Preference: ptr(preference.String())}
	}
	if len(w.types) == 1 {
		properties.MachineType = &w.types[0]
		return body, nil
	}
	selections := map[string]*computepb.InstanceFlexibilityPolicyInstanceSelection{}
	for i, machineType := range w.types {
		selections[fmt.Sprintf("rank-%d", i)] = &computepb.InstanceFlexibilityPolicyInstanceSelection{
			MachineTypes: []string{machineType}, Rank: ptr(int64(i)),
		}
	}
	body.InstanceFlexibilityPolicy = &computepb.InstanceFlexibilityPolicy{InstanceSelections: selections}
	return body, nil
}

// properties are what all instances of a wave share.
func (l *launch) properties(w wave) (*computepb.InstanceProperties, error) {
	from, err := l.config.imageFor("launch", l.request.Need, w.arch)
	if err != nil {
		return nil, err
	}
	labels, rest := labelsOf(l.request.Tags)
	metadata, err := l.metadata(rest)
	if err != nil {
		return nil, err
	}
	if len(rest) > 0 {
		labels[restLabel] = "1"
	}
	labels[digestLabel] = l.digest
	disk := max(l.config.diskGB, (l.request.Need.Disk+gib-1)/gib+diskRoom)
	if l.request.Need.Disk == 0 {
		disk = l.config.diskGB
	}
	account := &computepb.ServiceAccount{Email: ptr(orText(l.config.ServiceAccount, "default")), Scopes: l.config.Scopes}
	properties := &computepb.InstanceProperties{
		Description: ptr("Rented by spotrelay for run " + l.request.Tags[providers.TagRun]),
		Labels:      labels,
		Metadata:    metadata,
		Disks: []*computepb.AttachedDisk{{
			Boot: ptr(true), AutoDelete: ptr(true),
			InitializeParams: &computepb.AttachedDiskInitializeParams{
				SourceImage: ptr(from.String()), DiskType: &w.disk, DiskSizeGb: &disk, Labels: labels,
			},
		}},
		NetworkInterfaces: []*computepb.NetworkInterface{l.networkInterface()},
		ServiceAccounts:   []*computepb.ServiceAccount{account},
		Scheduling:        l.scheduling(w),
	}
	if len(l.config.NetworkTags) > 0 {
		properties.Tags = &computepb.Tags{Items: l.config.NetworkTags}
	}
	if w.gpus > 0 {
		properties.GuestAccelerators = []*computepb.AcceleratorConfig{{AcceleratorType: &w.gpuType, AcceleratorCount: ptr(int32(w.gpus))}}
	}
	return properties, nil
}

// scheduling says how an instance is bought and when it ends. The action DELETE
// belongs to spot and to a longest life; on-demand without GPUs moves to
// another host when its own is maintained.
func (l *launch) scheduling(w wave) *computepb.Scheduling {
	s := &computepb.Scheduling{
		ProvisioningModel: ptr(computepb.Scheduling_STANDARD.String()),
		OnHostMaintenance: ptr(computepb.Scheduling_MIGRATE.String()),
		AutomaticRestart:  ptr(false),
	}
	spot := l.request.Offers[0].Capacity == providers.Spot
	if spot {
		s.ProvisioningModel = ptr(computepb.Scheduling_SPOT.String())
		if l.config.notice > 0 {
			s.PreemptionNoticeDuration = &computepb.Duration{Seconds: ptr(int64(l.config.notice / time.Second))}
		}
	}
	if spot || w.rentals[0].machine.gpus > 0 {
		s.OnHostMaintenance = ptr(computepb.Scheduling_TERMINATE.String())
	}
	if l.request.MaxLife > 0 {
		life := min(max(l.request.MaxLife, shortestLife), longestLife)
		s.MaxRunDuration = &computepb.Duration{Seconds: ptr(int64((life + time.Second - 1) / time.Second))}
	}
	if spot || l.request.MaxLife > 0 {
		s.InstanceTerminationAction = ptr(computepb.Scheduling_DELETE.String())
	}
	return s
}

func (l *launch) networkInterface() *computepb.NetworkInterface {
	n := &computepb.NetworkInterface{}
	if network := l.config.Network; network != "" {
		n.Network = ptr(longName(network, l.config.Project, "global/networks/"))
	}
	if subnetwork := l.config.Subnetwork; subnetwork != "" {
		n.Subnetwork = ptr(longName(subnetwork, l.config.Project, "regions/"+l.config.Region+"/subnetworks/"))
	}
	if l.config.externalIP {
		n.AccessConfigs = []*computepb.AccessConfig{{
			Name: ptr("External NAT"), Type: ptr(computepb.AccessConfig_ONE_TO_ONE_NAT.String()),
		}}
	}
	return n
}

// longName is a resource's path from projects/ on, for its name or its path.
func longName(name, project, folder string) string {
	if strings.Contains(name, "/") {
		return name
	}
	return "projects/" + project + "/" + folder + name
}

// metadata of an instance. It is readable by all that runs on it, and holds no
// secret.
func (l *launch) metadata(rest map[string]string) (*computepb.Metadata, error) {
	script, err := l.startupScript()
	if err != nil {
		return nil, fault("launch", providers.CodeConfiguration, err.Error(), "the instance's startup script cannot be made")
	}
	m := &computepb.Metadata{}
	add := func(key, value string) {
		m.Items = append(m.Items, &computepb.Items{Key: &key, Value: &value})
	}
	add("startup-script", string(script))
	if l.config.Endpoint != "" {
		add(endpointItem, l.config.Endpoint)
	}
	if len(rest) > 0 {
		text, err := encodeRest(rest)
		if err != nil {
			return nil, fault("launch", providers.CodeConfiguration, err.Error(), "")
		}
		add(tagsItem, text)
	}
	return m, nil
}
