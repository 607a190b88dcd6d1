# A task with two checkpoint directories: the state that it goes on from, saved
# often, and an index that it could make again, saved seldom. The first instance
# is taken with a notice; the second attempt goes on from both.

variable "steps" {
  type        = number
  default     = 6
  description = "How far the task counts"
}

job "checkpoints" {
  task "count" {
    command = ["sh", "count.sh", var.steps]

    checkpoint {
      path     = "state"
      interval = "30s"                     # and whenever the program asks for it
      keep     = { last = 2, every = "1h" } # of many, while it runs
      at_end   = "keep-last"               # and one after it
    }

    checkpoint {
      name     = "index"
      path     = "index"
      interval = "10m"
      ahead    = false # written anew as a whole: nothing to send between saves
      keep     = { last = 1 }
      at_end   = "remove" # of no use when the task is done
    }
  }

  workdir {
    include = ["count.sh"]
  }
}

fleet "local" {
  provider = "local"

  config {
    event { # after the third step, with time to save
      instance   = 1
      checkpoint = 3
      action     = "preempt"
      notice     = "5s"
    }
  }
}
