# A parameter sweep: every combination of a learning rate and a seed, the best of
# them, and what is done about it.

variable "seeds" {
  type        = number
  default     = 3
  description = "How many seeds each learning rate is tried with"
}

variable "wanted" {
  type        = number
  default     = 0.01
  description = "The loss that is good enough to publish"
}

job "sweep" {
  fleets = ["local"]

  workdir {
    include = ["*.sh"]
  }

  task "train" {
    for_each = matrix({ lr = [0.1, 0.3, 2.5], seed = range(var.seeds) })
    command  = ["sh", "train.sh", each.value.lr, each.value.seed]

    allow_failure = true # some combinations diverge

    output {
      path = "out"
    }

    retries {
      attempts = 1
    }
  }

  task "pick" {
    command = ["sh", "pick.sh", task.train.output]
  }

  task "publish" {
    command = ["echo", "publish", task.pick.result.best, "with loss", task.pick.result.loss]
    when    = task.pick.result.loss <= var.wanted
  }

  task "complain" {
    command = ["echo", "nothing is good enough, the best loss is", task.pick.result.loss]
    when    = !(task.pick.result.loss <= var.wanted)
  }

  task "summary" {
    finally = true
    command = ["echo", "done: ${task.pick.result.converged} combinations converged"]
  }
}

fleet "local" {
  provider = "local"
}
