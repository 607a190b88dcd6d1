package gcp

import (
	"encoding/json"

	"github.com/spotrelay/spotrelay/providers"
)

const (
	defaultNetwork  = "default"
	defaultImage    = "ubuntu-2404-lts"
	defaultScope    = "https://www.googleapis.com/auth/cloud-platform"
	defaultDiskSize = "20GiB"
	defaultNotice   = "0s"
)

// schema is the fleet's config block. Its texts are the reference's.
func schema() providers.Schema {
	return providers.Schema{Attributes: []providers.Attribute{
		{Name: "project", Type: "string", Required: true, Description: "Id of the project that pays.", Example: `"acme-batch"`},
		{Name: "region", Type: "string", Required: true, Description: "Region to rent in.", Example: `"us-central1"`},
		{Name: "zones", Type: "list(string)", Description: "Zones to rent in; default: all of the region.", Example: `["us-central1-a", "us-central1-f"]`},
		{Name: "network", Type: "string", Description: "Network, by name or as projects/P/global/networks/N; default: the project's network \"default\", or that of the subnetwork.", Example: `"batch"`},
		{Name: "subnetwork", Type: "string", Description: "Subnetwork of the region, by name or as projects/P/regions/R/subnetworks/S; a network in custom mode needs one.", Example: `"batch-usc1"`},
		{Name: "image", Type: "string", Default: value(defaultImage), Description: "Boot image: an alias (ubuntu-2404-lts, ubuntu-2204-lts, debian-12, debian-13), or projects/P/global/images/family/F, or projects/P/global/images/I. It needs the Google guest agent, curl and systemd.", Example: `"projects/acme-images/global/images/family/batch"`},
		{Name: "image_arm64", Type: "string", Description: "Boot image for machines with Arm CPUs; default: the alias's own. Without either, no Arm machine is offered.", Example: `"projects/acme-images/global/images/family/batch-arm64"`},
		{Name: "service_account", Type: "string", Description: "E-mail address of the service account that instances act as; default: the project's default one.", Example: `"batch@acme-batch.iam.gserviceaccount.com"`},
		{Name: "scopes", Type: "list(string)", Default: value([]string{defaultScope}), Description: "OAuth scopes of the instances' tokens; what they may do is the service account's roles.", Example: `["https://www.googleapis.com/auth/devstorage.read_write"]`},
		{Name: "machine_types", Type: "list(string)", Description: "Globs of machine types that may be rented; default: all that have a price.", Example: `["n2-*", "n2d-*", "c3-standard-*"]`},
		{Name: "exclude_machine_types", Type: "list(string)", Description: "Globs of machine types that are never rented.", Example: `["e2-*"]`},
		{Name: "disk_type", Type: "string", Description: "Type of the boot disk; default: pd-balanced, and hyperdisk-balanced for machines that take nothing else.", Example: `"pd-ssd"`},
		{Name: "disk_size", Type: "size", Default: value(defaultDiskSize), Description: "Size of the boot disk, or what a task asks for in resources.disk and 10 GiB more, if that is larger.", Example: `"50GiB"`},
		{Name: "network_tags", Type: "list(string)", Description: "Network tags of the instances, for firewall rules and routes.", Example: `["batch"]`},
		{Name: "external_ip", Type: "bool", Default: value(true), Description: "Whether instances have an external address. Without one they reach the bucket by Private Google Access or Cloud NAT, which a plain project does not have.", Example: "false"},
		{Name: "preemption_notice", Type: "duration", Default: value(defaultNotice), Description: "Notice before the 30 seconds that Compute gives for the shutdown of a spot instance: \"0s\" or \"120s\", where Compute offers it.", Example: `"120s"`},
		{Name: "endpoint", Type: "string", Description: "Address of Compute's API; default: $CLOUDSDK_API_ENDPOINT_OVERRIDES_COMPUTE, else Google's.", Example: `"https://compute.private.acme.example"`},
		{Name: "billing_endpoint", Type: "string", Description: "Address of the Cloud Billing API; default: $CLOUDSDK_API_ENDPOINT_OVERRIDES_CLOUDBILLING, else Google's, but with an endpoint of its own for Compute the built-in prices are taken.", Example: `"https://billing.private.acme.example"`},
		{Name: "anonymous", Type: "bool", Default: value(false), Description: "Sends no credentials, as for an emulator; an endpoint on this machine gets none anyway.", Example: "true"},
	}}
}

// value is a default as the schema carries it.
func value(v any) json.RawMessage {
	data, err := json.Marshal(v)
	if err != nil {
		panic("gcp: a default is not JSON: " + err.Error())
	}
	return data
}
