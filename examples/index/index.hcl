# A word index of the Go distribution's source tree: an array that indexes a
# shard each, and a task that merges them. Everything is built on the instance
# from the one file in the workdir.

variable "shards" {
  type        = number
  default     = 4
  description = "How many pieces the files are dealt into"

  validation {
    condition     = var.shards >= 1 && floor(var.shards) == var.shards
    error_message = "shards is a whole number from 1."
  }
}

variable "root" {
  type        = string
  default     = ""
  description = "The folder whose .go files are indexed; empty is the Go distribution's src"
}

job "index" {
  workdir {
    include = ["index.go"]
  }

  task "shard" {
    count   = var.shards
    setup   = ["go", "build", "-o", "index", "index.go"]
    command = ["./index", "shard", "-root", var.root, "-shard", count.index, "-of", var.shards, "-to", "out"]
    timeout = "10m"

    output {
      path = "out"
    }
  }

  task "merge" {
    setup   = ["go", "build", "-o", "index", "index.go"]
    command = ["./index", "merge", "-from", task.shard.output, "-to", "out"]
    timeout = "10m"

    output {
      path = "out"
    }
  }
}
