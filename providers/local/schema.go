package local

import (
	"encoding/json"

	"github.com/spotrelay/spotrelay/providers"
)

// schema is the fleet's config block. Its texts are the reference's.
func schema() providers.Schema {
	return providers.Schema{
		Attributes: []providers.Attribute{
			{Name: "zones", Type: "list(string)", Default: value(defaultZones), Description: "Zones to offer instances in; they differ in name only, so that a zone can run out of capacity.", Example: `["local-a", "local-b"]`},
			{Name: "max_instances", Type: "number", Description: "How many instances may live at once; beyond that there is no capacity. Default: this machine's CPUs, at least 2.", Example: "4"},
			{Name: "spot_price", Type: "number", Default: value(defaultSpotPrice), Description: "Dollars an hour for one CPU of a spot instance.", Example: "0.03"},
			{Name: "on_demand_price", Type: "number", Default: value(defaultOnDemandPrice), Description: "Dollars an hour for one CPU of an on-demand instance.", Example: "0.10"},
			{Name: "boot_delay", Type: "duration", Default: value("0s"), Description: "How long an instance takes before its agent starts.", Example: `"2s"`},
			{Name: "preempt_after", Type: "list(duration)", Description: "The n-th spot instance that a run rents in this fleet is preempted so long after it started; \"0s\" leaves it alone, as are those past the list's end.", Example: `["20s", "35s"]`},
			{Name: "notice", Type: "duration", Default: value(defaultNotice), Description: "Time between an interruption notice and the loss of the instance; \"0s\" takes it with no notice.", Example: `"5s"`},
			{Name: "network", Type: "string", Default: value(networkHost), OneOf: []string{networkHost, networkIsolated}, Description: "The instance's network: this machine's, or one of its own with nothing but the metadata server at 169.254.169.254 (Linux).", Example: `"isolated"`},
			{Name: "isolation", Type: "string", Default: value(isolationAuto), OneOf: []string{isolationAuto, isolationNamespaces, isolationGroup}, Description: "How instances are kept apart: namespaces where the system allows them and else a process group (auto), or one of the two.", Example: `"namespaces"`},
			{Name: "bandwidth", Type: "size", Description: "Bytes a second that the agent of an instance may send to the bucket; no bound by default.", Example: `"2MiB"`},
			{Name: "share", Type: "list(string)", Description: "Folders or files of this machine below /tmp that instances see as well; the rest of their /tmp is their own, and is lost with them.", Example: `["/tmp/data"]`},
			{Name: "pass_env", Type: "list(string)", Description: "Environment variables to hand on to the agent, such as credentials for a bucket in a cloud; the rest of the shell's environment stays out.", Example: `["AWS_PROFILE"]`},
		},
		Blocks: []providers.Block{offerSchema(), eventSchema(), capacityErrorSchema()},
	}
}

func offerSchema() providers.Block {
	return providers.Block{
		Type: "offer",
		Description: "An instance type to rent, in place of the default ones: local.small (one CPU and a quarter of this machine's memory) " +
			"and local.large (twice this machine's CPUs, since tasks wait as much as they compute, and all of its memory).",
		Schema: providers.Schema{Attributes: []providers.Attribute{
			{Name: "instance_type", Type: "string", Required: true, Description: "Name of the instance type.", Example: `"local.gpu"`},
			{Name: "zone", Type: "string", Description: "The only zone it is offered in; default: all zones.", Example: `"local-a"`},
			{Name: "cpus", Type: "number", Default: value(1), Description: "CPUs it has. They are a number to choose by, not a bound.", Example: "4"},
			{Name: "memory", Type: "size", Description: "Memory it has, a bound where a cgroup can be had; default: a quarter of this machine's.", Example: `"8GiB"`},
			{Name: "gpus", Type: "number", Default: value(0), Description: "GPUs it has, for the choice of an offer.", Example: "1"},
			{Name: "gpu_type", Type: "string", Description: "Kind of its GPUs.", Example: `"a100"`},
			{Name: "spot_price", Type: "number", Description: "Dollars an hour as a spot instance; default: the fleet's price times cpus.", Example: "0.9"},
			{Name: "on_demand_price", Type: "number", Description: "Dollars an hour as an on-demand instance; default: the fleet's price times cpus.", Example: "3.1"},
			{Name: "limit", Type: "number", Description: "How many of it may live at once in one zone and capacity type; default: no bound but max_instances.", Example: "2"},
		}},
	}
}

func eventSchema() providers.Block {
	return providers.Block{
		Type:        "event",
		Description: "Something that happens to one instance, at a time or at a moment of the job.",
		Schema: providers.Schema{Attributes: []providers.Attribute{
			{Name: "instance", Type: "number", Required: true, Description: "Which instance: the n-th, from 1, that a run rents in this fleet, counted within capacity.", Example: "1"},
			{Name: "capacity", Type: "string", Default: value("spot"), OneOf: []string{"spot", "on-demand", "any"}, Description: "Which instances are counted.", Example: `"any"`},
			{Name: "after", Type: "duration", Description: "It happens so long after the instance started.", Example: `"3s"`},
			{Name: "checkpoint", Type: "number", Description: "It happens as soon as the instance has committed so many checkpoints.", Example: "2"},
			{Name: "during_save", Type: "number", Description: "It happens in the middle of the instance's n-th save: a part is sent, nothing is committed. A save too small to have a middle passes, and the next one is taken.", Example: "3"},
			{Name: "action", Type: "string", Default: value(string(actionPreempt)), OneOf: actionNames(), Description: "What happens: preempt (notice, then reclaimed), kill (reclaimed with no notice), crash (host error), maintenance (announced, then host error), silence (every process stops, nothing is said), never-boot (the agent never starts; takes no moment), rebalance (advice only), withdraw (a notice that comes to nothing), user-terminate (ended by somebody else), shutdown (shut down from within).", Example: `"kill"`},
			{Name: "notice", Type: "duration", Description: "Length of the notice; default: the fleet's.", Example: `"2s"`},
		}},
	}
}

func capacityErrorSchema() providers.Block {
	return providers.Block{
		Type:        "capacity_error",
		Description: "Launches that fail. Without zone, instance_type or capacity it is about all of them; one of launches and for says how long.",
		Schema: providers.Schema{Attributes: []providers.Attribute{
			{Name: "zone", Type: "string", Description: "Zone that has none.", Example: `"local-a"`},
			{Name: "instance_type", Type: "string", Description: "Instance type that is not to be had.", Example: `"local.large"`},
			{Name: "capacity", Type: "string", OneOf: []string{"spot", "on-demand"}, Description: "Capacity type that is not to be had.", Example: `"spot"`},
			{Name: "launches", Type: "number", Description: "The first so many launch calls of a run that ask for it.", Example: "2"},
			{Name: "for", Type: "duration", Description: "All of a run's launch calls within so long after its first one.", Example: `"10s"`},
			{Name: "code", Type: "string", Default: value("capacity"), OneOf: capacityCodes(), Description: "What the launch says: capacity, quota or unsupported for these offers; throttled fails the whole call; unavailable rents and fails nevertheless, so that the instances are found by a listing alone.", Example: `"quota"`},
		}},
	}
}

// value is a default as the schema carries it.
func value(v any) json.RawMessage {
	data, err := json.Marshal(v)
	if err != nil {
		panic("local: a default is not JSON: " + err.Error())
	}
	return data
}
