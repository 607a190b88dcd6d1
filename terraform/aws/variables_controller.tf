variable "controller" {
  description = <<-EOT
    A machine that runs `spotrelay serve`: one on-demand instance in an auto-scaling group, put back when it is lost.
    Default: none; `spotrelay run` controls its own run. program is the address (https://, or s3:// below the fleet's
    prefix) of a .tar.gz with spotrelay and the spotrelay-agent programs, and its SHA-256. At most max_runs runs are
    controlled at once; 0 is as many as there are.
  EOT
  type = object({
    program       = string
    sha256        = string
    instance_type = optional(string, "t4g.small")
    architecture  = optional(string, "arm64")
    max_runs      = optional(number, 0)
  })
  default = null

  validation {
    condition     = var.controller == null ? true : can(regex("^(https|s3)://[A-Za-z0-9._~:/?&=%+@-]+$", var.controller.program))
    error_message = "controller.program is an https:// or s3:// address of a .tar.gz."
  }

  validation {
    condition     = var.controller == null ? true : can(regex("^[0-9a-f]{64}$", var.controller.sha256))
    error_message = "controller.sha256 has 64 hexadecimal digits, in lower case."
  }

  validation {
    condition     = var.controller == null ? true : contains(["arm64", "x86_64"], var.controller.architecture)
    error_message = "controller.architecture is arm64 or x86_64, as the instance type is."
  }

  validation {
    condition     = var.controller == null ? true : can(regex("^[a-z0-9-]+\\.[a-z0-9-]+$", var.controller.instance_type))
    error_message = "controller.instance_type looks like t4g.small."
  }

  validation {
    condition     = var.controller == null ? true : var.controller.max_runs >= 0 && floor(var.controller.max_runs) == var.controller.max_runs
    error_message = "controller.max_runs is a whole number; 0 is as many as there are."
  }

  validation {
    condition     = var.controller == null || !var.private || var.nat != "none" || length(var.subnet_ids) > 0
    error_message = "The controller calls EC2, which a private subnet without a NAT gateway does not reach: set nat, or private = false."
  }
}

variable "budget" {
  description = "An alarm by e-mail when what bears the tag relay-fleet costs more than so many dollars in a month, also when that is foreseen. The tag must be activated as a cost allocation tag. Default: none."
  type = object({
    dollars = number
    emails  = list(string)
  })
  default = null

  validation {
    condition     = var.budget == null ? true : var.budget.dollars > 0
    error_message = "budget.dollars is above zero."
  }

  validation {
    condition     = var.budget == null ? true : length(var.budget.emails) >= 1 && length(var.budget.emails) <= 10 && alltrue([for email in var.budget.emails : can(regex("^[^@ ]+@[^@ ]+$", email))])
    error_message = "budget.emails has 1 to 10 addresses."
  }
}
