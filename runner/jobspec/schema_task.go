package jobspec

import "github.com/spotrelay/spotrelay/runner/job"

var taskSchema = &blockSchema{
	name: "task", label: "name",
	description: "A unit of work; with `count` or `for_each` an array of them. Names have lower-case letters, digits, `-` and `_`, begin with a letter, and are at most 63 long. It stands in the job block, and may have blocks `resources` and `retries` as the job has.",
	example: `task "features" {
  count   = 16
  command = ["python3", "features.py", "--shard", count.index]
  timeout = "30m"

  output {
    path = "out"
  }
}

task "train" {
  command = ["python3", "train.py", "--features", task.features.output]
}`,
	attributes: []attributeSchema{
		{name: "command", kind: kindCommand, required: true, description: "The program and its arguments, not given to a shell. May use `count`, `each`, and outputs and results of tasks.", example: `["python3", "train.py", "--shard", count.index]`},
		{name: "setup", kind: kindCommand, defText: "the job's", description: "A command that runs once on an instance, before the first attempt that has it.", example: `["pip", "install", "-r", "requirements.txt"]`},
		{name: "env", kind: kindMap, description: "Environment variables. May use `count`, `each`, and outputs and results of tasks. Names that begin with `SPOTRELAY_` are spotrelay's own.", example: `{ SHARD = count.index }`},
		{name: "count", kind: kindWhole, defText: "no array", description: "Makes the task an array of so many indexes, from 0 on: `count.index`. At most 1000000.", example: "16"},
		{name: "for_each", kind: kindKeys, defText: "no array", description: "Makes the task an array with an index for each key, in the keys' order: `each.key`, `each.value`. For a sweep: `matrix({lr = [0.1, 0.01], seed = range(5)})` has an index for every combination, with keys such as `lr=0.1,seed=3` and the values `each.value.lr` and `each.value.seed`.", example: `toset(["de", "fr"])`},
		{name: "depends_on", kind: kindTasks, def: "[]", description: "Tasks that must succeed before. A reference such as `task.features.output` makes its edge by itself. A task that is listed here is depended on as a whole: all its outputs are there. See [pipelines](pipelines.md).", example: `[task.features]`},
		{name: "when", kind: kindCondition, defText: "it runs", description: "Whether the task runs, decided by results of other tasks when they have ended: comparisons, `&&`, `||`, `!`. If it is false the task is skipped, and what depends on it too. See [pipelines](pipelines.md).", example: `task.check.result.ok == "yes"`},
		{name: "allow_failure", kind: kindBool, def: "false", description: "That the task failed fails neither the run nor what depends on it.", example: "true"},
		{name: "finally", kind: kindBool, def: "false", description: "The task runs when all other tasks have ended, however they did, also after a failure or a cancel.", example: "true"},
		{name: "inputs", kind: kindStrings, def: "[]", description: "Names of `input` blocks whose files the task is given, beside those that it refers to as `input.NAME`.", example: `["reviews"]`},
		{name: "timeout", kind: kindDuration, defText: "none", description: "Of one attempt.", example: `"30m"`},
		{name: "max_cost", kind: kindNumber, defText: "none", description: "Dollars that the task (each index of an array) may cost, over all its attempts. At 80 % there is a warning, at 100 % it saves a checkpoint and ends. See [limits](limits.md).", example: "40"},
		{name: "max_parallel", kind: kindWhole, defText: "no bound", description: "How many attempts of the task may be assigned at once: how many indexes of an array go at a time.", example: "8"},
		{name: "priority", kind: kindWhole, def: "0", description: "Among tasks that wait for instances the higher one is served first, where there are not enough for all. May be negative. What runs is not ended for it.", example: "10"},
		{name: "hold_on_failure", kind: kindDuration, defText: "none", description: "Keep the instance of an attempt that failed for so long, with the attempt's folder as it was, for somebody to look at. It gets no other work and costs its price. See [limits](limits.md).", example: `"30m"`},
		{name: "signal", kind: kindString, def: `"SIGTERM"`, oneOf: []string{"SIGTERM", "SIGINT", "SIGUSR1", "SIGUSR2", "SIGHUP"}, description: "Sent to the task on an interruption notice, on its timeout and on cancel.", example: `"SIGUSR1"`},
		{name: "kill_after", kind: kindDuration, def: `"30s"`, description: "How long after the signal the task is killed, on its timeout and on cancel. On an interruption notice it has all the time that the last save leaves.", example: `"10s"`},
		{name: "slots", kind: kindWhole, def: "1", description: "How many attempts of the task share an instance at once.", example: "4"},
		{name: "dedicated", kind: kindBool, def: "false", description: "Each attempt has an instance of its own, used once.", example: "true"},
		{name: "nodes", kind: kindWhole, def: "1", description: "Makes each attempt a gang of so many nodes, each on an instance of its own in one fleet: all or nothing, started together, ended and charged as one. At most 512. See [gangs](gangs.md).", example: "4"},
		{name: "on_node_loss", kind: kindString, def: `"restart"`, oneOf: []string{string(job.NodeLossRestart), string(job.NodeLossReplace)}, description: "What becomes of a gang when a node is lost. `restart`: all nodes save and stop, and the next attempt goes on with all. `replace`: the others go on, and the lost one alone is replaced; for programs that can take it.", example: `"replace"`},
		{name: "image", kind: kindString, defText: "the job's", description: "The image of the instances, by the provider's name for it.", example: `"ami-0abc"`},
		{name: "disk", kind: kindSize, defText: "the job's", description: "Scratch space that an attempt needs; the same as `disk` in `resources`.", example: `"100GiB"`},
		{name: "labels", kind: kindMap, description: "Tags of the instances, added to the job's.", example: `{ stage = "features" }`},
		{name: "fleets", kind: kindStrings, defText: "the job's", description: "The fleets that the task may use, in order of preference.", example: `["aws-gpu"]`},
	},
	blocks: []*blockSchema{resourcesSchema, checkpointSchema, outputSchema, cacheSchema, retriesSchema, moreMemorySchema},
}

var resourcesSchema = &blockSchema{
	name: "resources", single: true,
	description: "What an attempt needs of an instance. In a job: the defaults of its tasks, attribute by attribute.",
	example: `resources {
  cpus   = 4
  memory = "16GiB"
}`,
	attributes: []attributeSchema{
		{name: "cpus", kind: kindNumber, def: "0", description: "Virtual CPUs, also a part of one; 0 is whatever comes.", example: "4"},
		{name: "memory", kind: kindSize, def: "0", description: "Memory; 0 is whatever comes.", example: `"16GiB"`},
		{name: "enforce_memory", kind: kindBool, defText: "true where memory is set", description: "End an attempt that uses more than `memory` as out-of-memory, where the instance can watch it.", example: "false"},
		{name: "disk", kind: kindSize, def: "0", description: "Scratch space; 0 is whatever comes.", example: `"100GiB"`},
		{name: "gpus", kind: kindWhole, def: "0", description: "GPUs.", example: "1"},
		{name: "gpu_type", kind: kindString, defText: "any", description: "The kind of GPU.", example: `"a100"`},
		{name: "arch", kind: kindString, defText: "any", oneOf: []string{"amd64", "arm64"}, description: "The processor's architecture.", example: `"arm64"`},
	},
}

var checkpointSchema = &blockSchema{
	name:        "checkpoint",
	description: "What is saved of the task, to be there again when the next attempt starts: the directory in which it keeps its state, or, with `method = \"criu\"`, its processes as they are. A task may have several such blocks, each for a directory of its own, saved at its own interval; all but one have a `name`. When time is short they are saved in the order of the file. See [checkpoints](checkpoints.md).",
	example: `checkpoint {
  path     = "ckpt"
  interval = "5m"
}`,
	attributes: []attributeSchema{
		{name: "name", kind: kindString, defText: "none; needed in all but one of several blocks", description: "What tells several checkpoints of a task apart: lower-case letters, digits, `-` and `_`, beginning with a letter. The task finds the directory in `SPOTRELAY_CHECKPOINT_DIR_<NAME>`.", example: `"index"`},
		{name: "path", kind: kindString, defText: "needed, unless `method` is `\"criu\"`", description: "The directory, relative to the working directory.", example: `"ckpt"`},
		{name: "method", kind: kindString, def: `"files"`, oneOf: []string{"files", job.CheckpointCRIU}, description: "`files` saves the directory that the task writes. `criu` is for programs that write no checkpoint: their processes are dumped and go on from there, where CRIU is on the instance. See [programs](programs.md).", example: `"criu"`},
		{name: "interval", kind: kindDuration, def: `"5m"`, description: "Between background saves; 0 saves only on a notice and when the task asks for it.", example: `"10m"`},
		{name: "ahead", kind: kindBool, def: "true", description: "Between saves, send files that have come to rest already, slowly, so that a save has only the last change to send. Not with `method = \"criu\"`.", example: "false"},
		{name: "keep", kind: kindObject, object: keepSchema, defText: "`{ last = 3 }`", description: "Which checkpoints stay while the run lives; the others are removed after a save. What the attempt went on from stays as long as it runs.", example: `{ last = 5, every = "1h" }`},
		{name: "at_end", kind: kindString, def: `"keep-last"`, oneOf: []string{string(job.AtEndKeepLast), string(job.AtEndKeep), string(job.AtEndRemove)}, description: "What becomes of the checkpoints when the run is over. `keep-last`: the newest of each index stays. `keep`: all that are there stay. `remove`: none stays of an index that succeeded, of the others the newest.", example: `"remove"`},
	},
}

var keepSchema = &blockSchema{
	name:        "keep",
	description: "An object.",
	attributes: []attributeSchema{
		{name: "last", kind: kindWhole, def: "3", description: "So many of the newest, from 1. More than one is a reserve: where the newest turns out to be damaged, an attempt goes on from the one before.", example: "5"},
		{name: "every", kind: kindDuration, def: `"0s"`, description: "And of each period of this length the newest; 0 keeps none for that.", example: `"1h"`},
	},
}

var outputSchema = &blockSchema{
	name: "output", single: true,
	description: "The directory that is committed when the attempt succeeds. Tasks that refer to it as `task.NAME.output` find it on their instance.",
	example: `output {
  path = "out"
}`,
	attributes: []attributeSchema{
		{name: "path", kind: kindString, required: true, description: "The directory, relative to the working directory.", example: `"out"`},
	},
}

var retriesSchema = &blockSchema{
	name: "retries", single: true,
	description: "How many attempts a task (each index of an array) may use up. In a job: the defaults of its tasks, attribute by attribute.",
	example: `retries {
  attempts           = 6
  on_demand_attempts = 1
  max_failures       = 2
  on_exit_codes      = { retry = [101], fail = [2] }
  backoff            = { initial = "10s", factor = 2, max = "10m", jitter = true }
}`,
	attributes: []attributeSchema{
		{name: "attempts", kind: kindWhole, def: "5", description: "All attempts, whatever ended them.", example: "8"},
		{name: "on_demand_attempts", kind: kindWhole, def: "1", description: "So many of the last ones run on-demand; 0 keeps all on spot.", example: "0"},
		{name: "max_preemptions", kind: kindWhole, defText: "no cap", description: "At most so many attempts charged to preemptions.", example: "10"},
		{name: "max_failures", kind: kindWhole, defText: "no cap", description: "At most so many attempts charged to failures.", example: "2"},
		{name: "max_infrastructure", kind: kindWhole, defText: "no cap", description: "At most so many attempts charged to infrastructure.", example: "3"},
		{name: "on_exit_codes", kind: kindObject, object: exitCodesSchema, defText: "every code is retried", description: "What exit codes mean.", example: `{ retry = [101], fail = [2] }`},
		{name: "backoff", kind: kindObject, object: backoffSchema, defText: "as below", description: "The pause before the next attempt. A preemption waits for nothing: the next instance is the pause.", example: `{ initial = "10s", factor = 2, max = "10m", jitter = true }`},
		{name: "capacity_wait", kind: kindDuration, def: `"15m"`, description: "How long spot is looked for before on-demand is taken, and on-demand before the task fails.", example: `"1h"`},
	},
}

var exitCodesSchema = &blockSchema{
	name:        "on_exit_codes",
	description: "An object. Code 0 is success, and 75 always means: saved, run me again.",
	attributes: []attributeSchema{
		{name: "retry", kind: kindCodes, def: "[]", description: "Run again within the attempts.", example: "[101]"},
		{name: "fail", kind: kindCodes, def: "[]", description: "End the task at once.", example: "[2]"},
	},
}

var backoffSchema = &blockSchema{
	name:        "backoff",
	description: "An object.",
	attributes: []attributeSchema{
		{name: "initial", kind: kindDuration, def: `"10s"`, description: "The first pause.", example: `"1s"`},
		{name: "factor", kind: kindNumber, def: "2", description: "What the pause grows by each time, from 1.", example: "1.5"},
		{name: "max", kind: kindDuration, def: `"10m"`, description: "The longest pause.", example: `"1m"`},
		{name: "jitter", kind: kindBool, def: "true", description: "Take a random part of the upper half of the pause.", example: "false"},
	},
}
