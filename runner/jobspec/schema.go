package jobspec

import "slices"

// kind is the type of an attribute: how its value is checked, and what the
// reference calls it.
type kind string

const (
	kindString   kind = "string"
	kindNumber   kind = "number"
	kindWhole    kind = "whole number"
	kindBool     kind = "bool"
	kindDuration kind = "duration"
	kindSize     kind = "size"
	kindStrings  kind = "list(string)"
	kindCommand  kind = "list(string, number or bool)"
	kindMap      kind = "map(string, number or bool)"
	kindCodes    kind = "list(exit code)"
	kindTasks    kind = "list(task)"
	kindKeys     kind = "map or set(string)"
	kindObject   kind = "object"
	kindType     kind = "type"
	kindAny      kind = "any"

	kindCondition kind = "condition"
)

// attributeSchema declares an attribute of the language.
type attributeSchema struct {
	name     string
	kind     kind
	required bool
	// def is the default as an expression; "" is none. It is what decoding
	// uses, so the reference cannot tell another one.
	def string
	// defText says in words where a default comes from, when it is no constant.
	defText     string
	oneOf       []string
	object      *blockSchema // of kindObject: what it holds
	description string
	example     string
}

// blockSchema declares a block of the language.
type blockSchema struct {
	name        string
	label       string // what its label is called, "" for a block without one
	single      bool   // at most one in its parent
	open        bool   // holds whatever the user likes: locals, provider, config
	description string
	example     string
	attributes  []attributeSchema
	blocks      []*blockSchema
}

func (s *blockSchema) attribute(name string) *attributeSchema {
	for i := range s.attributes {
		if s.attributes[i].name == name {
			return &s.attributes[i]
		}
	}
	return nil
}

func (s *blockSchema) block(name string) *blockSchema {
	for _, block := range s.blocks {
		if block.name == name {
			return block
		}
	}
	return nil
}

// names are the words that may stand in the block.
func (s *blockSchema) names() []string {
	var names []string
	for _, attribute := range s.attributes {
		names = append(names, attribute.name)
	}
	for _, block := range s.blocks {
		names = append(names, block.name)
	}
	return names
}

// laterWords are known to people from spotrelay's design and not heeded by
// this release: they are refused rather than ignored.
var laterWords = []string{"container", "deadline", "secret"}

func isLater(name string) bool { return slices.Contains(laterWords, name) }

// language is the whole of a job file.
var language = &blockSchema{
	name:        "job file",
	description: "A job file holds one job and what it needs: variables, locals, fleets, providers. The blocks may stand in any order, and in several files of one folder.",
	blocks:      []*blockSchema{variableSchema, localsSchema, jobSchema, fleetSchema, providerSchema},
}

var variableSchema = &blockSchema{
	name: "variable", label: "name",
	description: "A value that is set from outside: by `-var name=value`, else by the last `-var-file` that has it, else by the environment variable `SPOTRELAY_VAR_name`, else its default. It is read as `var.name`.",
	example: `variable "epochs" {
  type        = number
  default     = 20
  description = "How long to train"

  validation {
    condition     = var.epochs > 0
    error_message = "epochs must be above 0."
  }
}`,
	attributes: []attributeSchema{
		{name: "type", kind: kindType, defText: "any type", description: "The type that a value is converted to: `string`, `number`, `bool`, `any`, `list(...)`, `set(...)`, `map(...)`, `tuple([...])`, `object({...})` with `optional(type, default)`.", example: `object({ rate = number, name = optional(string, "x") })`},
		{name: "default", kind: kindAny, defText: "none: the variable must be set", description: "The value when nobody sets one. It may hold no references.", example: "20"},
		{name: "description", kind: kindString, description: "What the variable is, for people.", example: `"How long to train"`},
		{name: "sensitive", kind: kindBool, def: "false", description: "Keep the value out of messages and out of the variables kept with the run. What a task gets by its command or env is in the run's spec all the same.", example: "true"},
		{name: "nullable", kind: kindBool, def: "true", description: "Whether `null` is a value. If not, `null` means the default.", example: "false"},
	},
	blocks: []*blockSchema{validationSchema},
}

var validationSchema = &blockSchema{
	name:        "validation",
	description: "A rule for the variable's value. Any number of them.",
	attributes: []attributeSchema{
		{name: "condition", kind: kindBool, required: true, description: "An expression that is true for a good value.", example: "var.epochs > 0"},
		{name: "error_message", kind: kindString, required: true, description: "What to tell when it is not.", example: `"epochs must be above 0."`},
	},
}

var localsSchema = &blockSchema{
	name: "locals", open: true,
	description: "Named expressions, read as `local.name`. They may use variables and each other, in any order.",
	example: `locals {
  shards = 16
  name   = "train-${var.epochs}"
}`,
}

var jobSchema = &blockSchema{
	name: "job", label: "name", single: true,
	description: "What to run. A job file has exactly one.",
	example: `job "train" {
  bucket = "s3://acme-batch/spotrelay"
  fleets = ["aws-use1", "gcp-usc1"]

  task "hello" {
    command = ["echo", "hello"]
  }
}`,
	attributes: []attributeSchema{
		{name: "bucket", kind: kindString, defText: "the folder `.spotrelay` here", description: "Where the run lives: an object-storage URL or a folder. `--bucket` and `SPOTRELAY_BUCKET` win over it.", example: `"s3://acme-batch/spotrelay"`},
		{name: "max_instances", kind: kindWhole, def: "0", description: "How many instances may live at once; 0 is no bound.", example: "50"},
		{name: "max_cost", kind: kindNumber, defText: "none", description: "Dollars that all instances of the run may cost, idle ones too. At 80 % there is a warning, at 100 % all that runs saves a checkpoint and the run ends. See [limits](limits.md).", example: "500"},
		{name: "max_parallel", kind: kindWhole, defText: "no bound", description: "How many attempts may be assigned at once, of all tasks.", example: "100"},
		{name: "run_timeout", kind: kindDuration, defText: "none", description: "Of the whole run; the time in which it is paused does not count. When it is over, all that runs saves a checkpoint and the run ends.", example: `"24h"`},
		{name: "fleets", kind: kindStrings, defText: "the fleets of the file, in their order; with none, `[\"local\"]`", description: "The fleets that tasks may use, in order of preference.", example: `["aws-use1", "local"]`},
		{name: "labels", kind: kindMap, description: "Become tags of the instances. Those of a task are added to those of the job.", example: `{ team = "search" }`},
		{name: "env", kind: kindMap, description: "Environment variables of every task; a task's own `env` is added and wins.", example: `{ LANG = "C" }`},
		{name: "setup", kind: kindCommand, description: "The default `setup` of the tasks.", example: `["sh", "setup.sh"]`},
		{name: "image", kind: kindString, defText: "the provider's own", description: "The default `image` of the tasks.", example: `"ami-0abc"`},
		{name: "disk", kind: kindSize, description: "The default `disk` of the tasks.", example: `"100GiB"`},
	},
	blocks: []*blockSchema{resourcesSchema, retriesSchema, workdirSchema, timingSchema, inputSchema, taskSchema},
}

var workdirSchema = &blockSchema{
	name: "workdir", single: true,
	description: "The files that every attempt starts in. Without the block none are sent. In a pattern `*` matches within a name and `**` over folders; a pattern without a slash is for names at any depth; one that matches a folder is for all that is in it. `.spotrelay` is never sent.",
	example: `workdir {
  include = ["src/**", "*.json"]
  exclude = [".git", "*.pyc"]
}`,
	attributes: []attributeSchema{
		{name: "root", kind: kindString, def: `"."`, description: "The folder, relative to the job file.", example: `".."`},
		{name: "include", kind: kindStrings, def: `["**"]`, description: "Patterns of the files to send.", example: `["src/**"]`},
		{name: "exclude", kind: kindStrings, def: `[".git"]`, description: "Patterns of the files not to send; they win.", example: `[".git", "*.pyc"]`},
	},
}

var inputSchema = &blockSchema{
	name: "input", label: "name",
	description: "Files from outside that tasks read. They are imported into the bucket when the run is submitted, content-addressed: what has not changed since it was imported last is neither read nor sent again, and the run keeps the digest of what it was given. `input.NAME` is the folder on the instance, which `SPOTRELAY_INPUT_DIR_<NAME>` names too. Only tasks that refer to it, or list it in `inputs`, get it. See [pipelines](pipelines.md).",
	example: `input "reviews" {
  source = "s3://acme-data/reviews/2026"
}

task "train" {
  command = ["python3", "train.py", "--data", input.reviews]
}`,
	attributes: []attributeSchema{
		{name: "source", kind: kindString, required: true, description: "Where the files are: `s3://BUCKET/PREFIX`, `gs://BUCKET/PREFIX`, or a folder or file, relative to the job file. Who submits reads it; instances need no access to it.", example: `"s3://acme-data/reviews/2026"`},
	},
}

var timingSchema = &blockSchema{
	name: "timing", single: true,
	description: "The periods by which the controller and the agents watch each other. The defaults suit clouds; change them to react faster or to save requests to the bucket.",
	example: `timing {
  heartbeat = "5s"
  silence   = "30s"
}`,
	attributes: []attributeSchema{
		{name: "heartbeat", kind: kindDuration, def: `"10s"`, description: "An agent's status changes at least so often.", example: `"5s"`},
		{name: "silence", kind: kindDuration, def: `"60s"`, description: "An agent without a change for so long is lost; at least twice the heartbeat.", example: `"2m"`},
		{name: "boot_timeout", kind: kindDuration, defText: "the provider's, else `\"10m\"`", description: "From a launch to the agent's first status.", example: `"15m"`},
		{name: "idle_timeout", kind: kindDuration, defText: "the provider's, else `\"60s\"`", description: "An instance without work is kept so long for work that may come.", example: `"5m"`},
		{name: "orphan_grace", kind: kindDuration, def: `"10m"`, description: "A busy agent whose run nobody controls goes on so long.", example: `"1h"`},
		{name: "poll", kind: kindDuration, def: `"0s"`, description: "How often documents in the bucket are looked at; 0 leaves it to the bucket.", example: `"2s"`},
		{name: "lease", kind: kindDuration, def: `"30s"`, description: "A controller that is silent for so long has lost its run.", example: `"60s"`},
	},
}

var fleetSchema = &blockSchema{
	name: "fleet", label: "name",
	description: "Where instances may be rented: a provider with its configuration. A job without any fleet runs in the fleet `local` of the provider `local`.",
	example: `fleet "aws-use1" {
  provider = "aws"
  from     = "fleets/aws-use1.json"

  config {
    region = "us-east-1"
  }
}`,
	attributes: []attributeSchema{
		{name: "provider", kind: kindString, defText: "that of `from`", description: "The provider's name.", example: `"aws"`},
		{name: "from", kind: kindString, description: "A fleet file, relative to the job file: JSON of the form `{\"version\": 1, \"provider\": \"aws\", \"bucket\": \"s3://...\", \"config\": {...}}`, as the Terraform modules write it. What `config` sets wins over it, and the job's `bucket` over its.", example: `"fleets/aws-use1.json"`},
	},
	blocks: []*blockSchema{configSchema},
}

var configSchema = &blockSchema{
	name: "config", single: true, open: true,
	description: "The provider's own block, checked against its schema. An attribute comes from here, else from the fleet file, else from the `provider` block, else it has the provider's default.",
}

var providerSchema = &blockSchema{
	name: "provider", label: "name", open: true,
	description: "Defaults for the config of all fleets of a provider.",
	example: `provider "aws" {
  profile = "batch"
}`,
}
