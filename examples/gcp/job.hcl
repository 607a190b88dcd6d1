# Estimates pi on eight spot instances and adds the parts up. What a preemption
# interrupts goes on from its checkpoint.

job "pi" {
  task "part" {
    count   = 8
    command = ["python3", "-c", local.program, count.index]

    resources {
      cpus   = 2
      memory = "2GiB"
    }

    checkpoint {
      path     = "ckpt"
      interval = "1m"
    }

    output {
      path = "out"
    }

    retries {
      attempts = 4
    }
  }
}

locals {
  program = <<-PYTHON
    import json, os, random, sys

    index, rounds = int(sys.argv[1]), 2000
    path = os.path.join(os.environ["SPOTRELAY_CHECKPOINT_DIR"], "state.json")
    state = {"round": 0, "inside": 0}
    if os.path.exists(path):
        state = json.load(open(path))
    while state["round"] < rounds:
        chance = random.Random(index * 1000003 + state["round"])
        state["inside"] += sum(chance.random() ** 2 + chance.random() ** 2 < 1 for _ in range(200000))
        state["round"] += 1
        json.dump(state, open(path + ".new", "w"))
        os.replace(path + ".new", path)
    with open(os.path.join(os.environ["SPOTRELAY_OUTPUT_DIR"], "pi.json"), "w") as out:
        json.dump({"index": index, "pi": 4 * state["inside"] / (rounds * 200000)}, out)
  PYTHON
}

fleet "gcp" {
  provider = "gcp"
  from     = "relay-example.json" # what terraform apply wrote
}
