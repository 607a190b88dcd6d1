variable "controller" {
  description = <<-EOT
    A machine that runs `spotrelay serve`: one on-demand instance in a managed group, put back when it is lost.
    Default: none; `spotrelay run` controls its own run. program is the address (https://, or gs:// below the fleet's
    prefix) of a .tar.gz with spotrelay and the spotrelay-agent programs, and its SHA-256. At most max_runs runs are
    controlled at once; 0 is as many as there are.
  EOT
  type = object({
    program      = string
    sha256       = string
    machine_type = optional(string, "e2-small")
    image        = optional(string, "projects/debian-cloud/global/images/family/debian-12")
    max_runs     = optional(number, 0)
  })
  default = null

  validation {
    condition     = var.controller == null ? true : can(regex("^(https|gs)://[A-Za-z0-9._~:/?&=%+@-]+$", var.controller.program))
    error_message = "controller.program is an https:// or gs:// address of a .tar.gz."
  }

  validation {
    condition     = var.controller == null ? true : can(regex("^[0-9a-f]{64}$", var.controller.sha256))
    error_message = "controller.sha256 has 64 hexadecimal digits, in lower case."
  }

  validation {
    condition     = var.controller == null ? true : can(regex("^[a-z0-9-]+$", var.controller.machine_type))
    error_message = "controller.machine_type looks like e2-small."
  }

  validation {
    condition     = var.controller == null ? true : var.controller.max_runs >= 0 && floor(var.controller.max_runs) == var.controller.max_runs
    error_message = "controller.max_runs is a whole number; 0 is as many as there are."
  }

  validation {
    condition     = var.controller == null ? true : startswith(var.controller.program, "gs://") || !var.private || var.nat
    error_message = "Without an external address or Cloud NAT the controller reaches Google's APIs alone: put its program into the bucket (gs://), or set nat = true."
  }
}

variable "budget" {
  description = "An alarm by e-mail when the project costs more than so much in a month, in the billing account's currency, also when that is foreseen. Default: none."
  type = object({
    billing_account = string
    amount          = number
    currency        = optional(string, "USD")
    emails          = list(string)
  })
  default = null

  validation {
    condition     = var.budget == null ? true : can(regex("^[0-9A-F]{6}(-[0-9A-F]{6}){2}$", var.budget.billing_account))
    error_message = "budget.billing_account looks like 000000-0A1B2C-3D4E5F."
  }

  validation {
    condition     = var.budget == null ? true : var.budget.amount >= 1 && floor(var.budget.amount) == var.budget.amount
    error_message = "budget.amount is a whole number, 1 at least."
  }

  validation {
    condition     = var.budget == null ? true : length(var.budget.emails) >= 1 && length(var.budget.emails) <= 5 && alltrue([for email in var.budget.emails : can(regex("^[^@ ]+@[^@ ]+$", email))])
    error_message = "budget.emails has 1 to 5 addresses."
  }
}
