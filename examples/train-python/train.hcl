# A small network in plain Python, trained on instances that keep disappearing.

variable "epochs" {
  type        = number
  default     = 12
  description = "How often the points are gone through"
}

variable "fleet" {
  type        = string
  default     = "stormy"
  description = "Where to train: stormy (two interruptions) or calm"

  validation {
    condition     = contains(["stormy", "calm"], var.fleet)
    error_message = "fleet is stormy or calm."
  }
}

job "train-python" {
  fleets = [var.fleet]

  workdir {
    root    = ".."
    include = ["python/spotrelay.py", "train-python/train.py"]
  }

  task "train" {
    command = ["python3", "train-python/train.py", "--epochs", var.epochs]
    env     = { PYTHONPATH = "python" }

    checkpoint {
      path     = "ckpt"
      interval = "30s" # the program commits each epoch by itself
    }

    output {
      path = "out"
    }

    retries {
      attempts           = 3
      on_demand_attempts = 1
    }
  }
}

fleet "calm" {
  provider = "local"
}

# Two spot instances are lost; the third attempt is the last one, and runs
# on-demand.
fleet "stormy" {
  provider = "local"

  config {
    event { # taken with a notice: the task saves the epoch at hand
      instance   = 1
      checkpoint = 2
      action     = "preempt"
      notice     = "10s"
    }

    event { # taken with none: what was committed is what there is
      instance   = 2
      checkpoint = 3
      action     = "kill"
    }
  }
}
