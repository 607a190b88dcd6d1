# Five tasks, one of them an array of 50, each cached: what was computed once is
# not computed again, and after a change only what depends on it runs.

job "pipeline" {
  workdir {
    include = ["*.sh", "data/*.csv"]
  }

  task "clean" {
    command = ["./clean.sh"]
    slots   = 10

    cache {
      inputs = ["clean.sh", "data/readings.csv"]
    }

    output {
      path = "out"
    }
  }

  task "station" {
    count   = 50
    command = ["./station.sh", task.clean.output, count.index]
    slots   = 10

    cache {
      inputs = ["station.sh"]
    }

    output {
      path = "out"
    }
  }

  task "names" {
    command = ["./names.sh"]
    slots   = 10

    cache {
      inputs = ["names.sh", "data/names.csv"]
    }

    output {
      path = "out"
    }
  }

  task "table" {
    command = ["./table.sh", task.station.output, task.names.output]
    slots   = 10

    cache {
      inputs    = ["table.sh"]
      serialize = true
    }

    output {
      path = "out"
    }
  }

  task "report" {
    command = ["./report.sh", task.table.output]
    slots   = 10

    cache {
      inputs = ["report.sh"]
    }

    output {
      path = "out"
    }
  }
}
