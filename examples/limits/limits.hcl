# What bounds a job: dollars, time, how much of it runs at once. The price here
# is that of the local provider's make-believe machines: high, so that a cap is
# reached within seconds.

variable "max_cost" {
  type        = number
  default     = 1
  description = "Dollars that counting may cost"
}

job "limits" {
  max_cost    = 100
  run_timeout = "30m"

  task "count" {
    command  = ["sh", "-c", "mkdir -p ckpt; n=$(cat ckpt/n 2>/dev/null || echo 0); trap 'exit 75' TERM; while :; do n=$((n+1)); echo $n > ckpt/new && mv ckpt/new ckpt/n; sleep 0.1; done"]
    max_cost = var.max_cost

    resources {
      memory = "256MiB"
    }

    # Should that be too little, the next attempt asks for twice as much.
    on_out_of_memory {
      memory_factor = 2
      max_memory    = "1GiB"
    }

    checkpoint {
      path     = "ckpt"
      interval = "1s"
    }
  }
}

fleet "local" {
  provider = "local"

  config {
    spot_price      = 1200 # dollars an hour: a third of a dollar a second
    on_demand_price = 3600
  }
}
