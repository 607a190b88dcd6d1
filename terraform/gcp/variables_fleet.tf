# What the fleet file says beside what is made here; docs/gcp.md has all of it.

variable "image" {
  description = "Boot image, as docs/gcp.md has it: an alias, or projects/P/global/images/I or .../images/family/F. Default: ubuntu-2404-lts."
  type        = string
  default     = null

  validation {
    condition     = var.image == null ? true : can(regex("^([a-z0-9-]+|projects/[^/]+/global/images/(family/)?[a-z0-9-]+)$", var.image))
    error_message = "An image is an alias such as debian-12, or projects/acme-images/global/images/family/batch."
  }
}

variable "image_arm64" {
  description = "Boot image for machines with Arm CPUs, beside an image of your own. Default: the alias's."
  type        = string
  default     = null

  validation {
    condition     = var.image_arm64 == null ? true : can(regex("^([a-z0-9-]+|projects/[^/]+/global/images/(family/)?[a-z0-9-]+)$", var.image_arm64))
    error_message = "An image is an alias such as debian-12, or projects/acme-images/global/images/family/batch-arm64."
  }
}

variable "machine_types" {
  description = "Globs of machine types that may be rented. Default: all that have a price."
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for glob in var.machine_types : can(regex("^[]a-z0-9*?[-]+$", glob))])
    error_message = "A glob of machine types looks like n2-* or c3-standard-[48]."
  }
}

variable "exclude_machine_types" {
  description = "Globs of machine types that are never rented."
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for glob in var.exclude_machine_types : can(regex("^[]a-z0-9*?[-]+$", glob))])
    error_message = "A glob of machine types looks like e2-*."
  }
}

variable "disk" {
  description = "Boot disk of the instances: size at least, and type (default: what the machine takes). A task's resources.disk makes it larger."
  type = object({
    size = optional(string, "20GiB")
    type = optional(string)
  })
  default = {}

  validation {
    condition     = can(regex("^[1-9][0-9]*(\\.[0-9]+)?(GB|GiB|TB|TiB)$", var.disk.size))
    error_message = "disk.size looks like 100GiB."
  }

  validation {
    condition     = var.disk.type == null ? true : contains(["pd-standard", "pd-balanced", "pd-ssd", "hyperdisk-balanced"], var.disk.type)
    error_message = "disk.type is pd-standard, pd-balanced, pd-ssd or hyperdisk-balanced."
  }
}

variable "preemption_notice" {
  description = "Notice before the 30 seconds that Compute gives a spot instance: 0s, or 120s where Compute offers it."
  type        = string
  default     = "0s"

  validation {
    condition     = contains(["0s", "120s"], var.preemption_notice)
    error_message = "It is 0s or 120s."
  }
}

variable "controller_members" {
  description = "Who may run spotrelay with this fleet as themselves, beside the controller's service account: user:, group: or serviceAccount: and an address."
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for member in var.controller_members : can(regex("^((user|group|serviceAccount):[^@ ]+@[^@ ]+|principal(Set)?://.+)$", member))])
    error_message = "A member looks like group:batch@acme.example. All users, authenticated or not, are none."
  }
}

variable "instances_end_themselves" {
  description = "Whether instances may delete instances whose names begin with spotrelay-: Compute knows no permission for an instance's own end alone. Without it an idle instance powers off, and the controller or `spotrelay gc` deletes it."
  type        = bool
  default     = true
}

variable "name_condition" {
  description = "Whether the roles that make and end instances are bound to names that begin with spotrelay-, as spotrelay's do, by an IAM condition."
  type        = bool
  default     = true
}
