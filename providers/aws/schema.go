package aws

import (
	"encoding/json"

	"github.com/spotrelay/spotrelay/providers"
)

// Values of the config block.
const (
	defaultImage    = "ubuntu-24.04"
	defaultDisk     = "20GiB"
	defaultDiskType = "gp3"
	defaultVersion  = "$Default"
)

var (
	spotStrategies     = []string{"price-capacity-optimized", "capacity-optimized", "capacity-optimized-prioritized", "lowest-price", "diversified"}
	onDemandStrategies = []string{"prioritized", "lowest-price"}
	diskTypes          = []string{"gp3", "gp2", "io1", "io2", "standard"}
)

// schema is the fleet's config block. Its texts are the reference's.
func schema() providers.Schema {
	return providers.Schema{
		Attributes: []providers.Attribute{
			{Name: "region", Type: "string", Required: true, Description: "Region to rent in.", Example: `"us-east-1"`},
			{Name: "subnets", Type: "list(string)", Description: "Subnets for the instances, at most one of a zone in each launch. Default: those of the default VPC.", Example: `["subnet-0a1b2c3d", "subnet-4e5f6a7b"]`},
			{Name: "security_groups", Type: "list(string)", Description: "Security groups of the instances; they need no way in. Default: the VPC's own.", Example: `["sg-0a1b2c3d"]`},
			{Name: "public_ip", Type: "bool", Description: "Whether instances get a public address; default: as the subnet says.", Example: "true"},
			{Name: "image", Type: "string", Description: "Image, by default ubuntu-24.04: an id, an alias (ubuntu-24.04, ubuntu-22.04, debian-12, al2023, dlami-base-ubuntu-24.04, ...), a public SSM parameter (/aws/service/..., with {arch} or {x86_64} in it), or the name of one of the account's own images, the newest that matches.", Example: `"ami-0a1b2c3d"`},
			{Name: "instance_profile", Type: "string", Description: "Instance profile, by name or ARN: what the instances may do, the bucket above all.", Example: `"spotrelay-agent"`},
			{Name: "instance_types", Type: "list(string)", Description: "The only instance types to rent, with * and ?. Default: the current generation without burstable, bare metal and, unless GPUs are asked for, accelerated ones.", Example: `["c7*.*", "m7i.*large"]`},
			{Name: "exclude_types", Type: "list(string)", Description: "Instance types never to rent, with * and ?.", Example: `["*.24xlarge", "m5.*"]`},
			{Name: "max_price", Type: "number", Description: "The most dollars an hour for one spot instance. Default: the on-demand price, AWS's own bound.", Example: "0.50"},
			{Name: "max_instances", Type: "number", Description: "How many instances of a run may live in the fleet at once; no bound by default.", Example: "200"},
			{Name: "spot_allocation", Type: "string", Default: value(spotStrategies[0]), OneOf: spotStrategies, Description: "How AWS chooses among the spot pools of a launch.", Example: `"capacity-optimized"`},
			{Name: "on_demand_allocation", Type: "string", Default: value(onDemandStrategies[0]), OneOf: onDemandStrategies, Description: "How AWS chooses among the on-demand pools of a launch: in the order of the offers, or the cheapest.", Example: `"lowest-price"`},
			{Name: "key_name", Type: "string", Description: "Key pair for logging in by SSH, to look for faults.", Example: `"ops"`},
			{Name: "tags", Type: "map(string)", Description: "Tags for instances and volumes beside spotrelay's own.", Example: `{ cost-centre = "research" }`},
			{Name: "profile", Type: "string", Description: "Profile of the shared AWS configuration; default: the environment's.", Example: `"batch"`},
			{Name: "endpoint", Type: "string", Description: "Base address of every AWS service, for an emulator; AWS_ENDPOINT_URL_EC2 and its like set one service's.", Example: `"http://127.0.0.1:4566"`},
		},
		Blocks: []providers.Block{diskSchema(), roleSchema(), templateSchema()},
	}
}

func diskSchema() providers.Block {
	return providers.Block{
		Type: "disk", Max: 1, Description: "The instances' root volume. It grows to what the task's resources ask for, and is deleted with the instance.",
		Schema: providers.Schema{Attributes: []providers.Attribute{
			{Name: "size", Type: "size", Default: value(defaultDisk), Description: "Size of the volume, at least.", Example: `"100GiB"`},
			{Name: "type", Type: "string", Default: value(defaultDiskType), OneOf: diskTypes, Description: "Type of the volume.", Example: `"io2"`},
			{Name: "iops", Type: "number", Description: "Operations a second; default: the type's.", Example: "6000"},
			{Name: "throughput", Type: "number", Description: "MiB a second of a gp3 volume; default: the type's.", Example: "500"},
			{Name: "encrypted", Type: "bool", Description: "Whether the volume is encrypted; default: as the account says.", Example: "true"},
			{Name: "kms_key", Type: "string", Description: "Key of an encrypted volume; default: the account's.", Example: `"alias/batch"`},
		}},
	}
}

func roleSchema() providers.Block {
	return providers.Block{
		Type: "assume_role", Max: 1, Description: "A role to rent as.",
		Schema: providers.Schema{Attributes: []providers.Attribute{
			{Name: "arn", Type: "string", Required: true, Description: "ARN of the role.", Example: `"arn:aws:iam::111122223333:role/spotrelay"`},
			{Name: "external_id", Type: "string", Description: "External id that the role asks for.", Example: `"acme"`},
			{Name: "session_name", Type: "string", Default: value("spotrelay"), Description: "Name of the session, as CloudTrail shows it.", Example: `"nightly"`},
		}},
	}
}

func templateSchema() providers.Block {
	return providers.Block{
		Type: "launch_template", Max: 1,
		Description: "A launch template to start from. What the config block says goes before what the template says; it must have no user data of its own. Each launch uses a copy named spotrelay-..., with the agent's start in it.",
		Schema: providers.Schema{Attributes: []providers.Attribute{
			{Name: "id", Type: "string", Description: "Id of the template.", Example: `"lt-0a1b2c3d"`},
			{Name: "name", Type: "string", Description: "Name of the template, in place of its id.", Example: `"batch-workers"`},
			{Name: "version", Type: "string", Default: value(defaultVersion), Description: "Version: a number, $Default or $Latest.", Example: `"3"`},
		}},
	}
}

// value is a default as the schema carries it.
func value(v any) json.RawMessage {
	data, err := json.Marshal(v)
	if err != nil {
		panic("aws: a default is not JSON: " + err.Error())
	}
	return data
}
