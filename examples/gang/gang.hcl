# Four nodes that add up numbers together, step by step: none can go on without
# the others. One is taken with a notice after its second checkpoint. By default
# all save and stop, and the second attempt goes on from there on all four; with
# -var on_node_loss=replace the other three go on, and wait for the new one.

variable "steps" {
  type        = number
  default     = 40
  description = "How many sums the nodes make"
}

variable "on_node_loss" {
  type    = string
  default = "restart"
}

job "gang" {
  task "sum" {
    nodes        = 4
    on_node_loss = var.on_node_loss
    command      = ["python3", "sum.py", var.steps]

    checkpoint {
      path     = "state"
      interval = "1s"
    }

    output { # of node 0
      path = "out"
    }
  }

  workdir {
    include = ["sum.py"]
  }
}

fleet "local" {
  provider = "local"

  config {
    max_instances = 9

    event {
      instance   = 3
      checkpoint = 2
      action     = "preempt"
      notice     = "4s"
    }
  }
}
