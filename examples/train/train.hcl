# A character model of Go source text, learned epoch by epoch on instances that
# keep disappearing. `make demo` runs it and checks the result.

variable "epochs" {
  type        = number
  default     = 9
  description = "How often the text is gone through"
}

variable "fleet" {
  type        = string
  default     = "stormy"
  description = "Where to train: stormy (three interruptions) or calm"

  validation {
    condition     = contains(["stormy", "calm"], var.fleet)
    error_message = "fleet is stormy or calm."
  }
}

job "train" {
  fleets = [var.fleet]

  workdir {
    include = ["train.go", "model.go", "training.go"]
  }

  task "train" {
    setup   = ["go", "build", "-o", "train", "train.go", "model.go", "training.go"]
    command = ["./train", "-epochs", var.epochs]

    checkpoint {
      path     = "ckpt"
      interval = "30s"  # the program commits each epoch by itself
      at_end   = "keep" # by default the newest alone stays; the demo looks at all
      keep     = { last = 100 }
    }

    output {
      path = "out"
    }

    retries {
      attempts           = 4
      on_demand_attempts = 1
    }
  }
}

fleet "calm" {
  provider = "local"
}

# Three spot instances are lost, each in a way of its own; the fourth attempt is
# the last one, and runs on-demand.
fleet "stormy" {
  provider = "local"

  config {
    bandwidth = "4MiB" # a checkpoint of 4 MiB takes a second to save

    event { # taken with a notice: the task has time to save
      instance   = 1
      checkpoint = 2
      action     = "preempt"
      notice     = "4s"
    }

    event { # taken with none: what was committed is what there is
      instance   = 2
      checkpoint = 2
      action     = "kill"
    }

    event { # taken in the middle of a save: that one is not committed
      instance    = 3
      during_save = 2
      action      = "kill"
    }
  }
}
