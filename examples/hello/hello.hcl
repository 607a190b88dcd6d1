# Three greetings at once, and a task that gathers them. `task.greet.output` is
# the folder with their outputs, one folder per index; naming it makes the edge.

variable "name" {
  type    = string
  default = "world"
}

job "hello" {
  task "greet" {
    count   = 3
    command = ["sh", "-c", "echo \"hello ${var.name}, from ${count.index}\" | tee \"$SPOTRELAY_OUTPUT_DIR/greeting.txt\""]

    output {
      path = "out"
    }
  }

  task "gather" {
    command = ["sh", "-c", "cat ${task.greet.output}/*/greeting.txt | tee \"$SPOTRELAY_OUTPUT_DIR/greetings.txt\""]

    output {
      path = "out"
    }
  }
}
