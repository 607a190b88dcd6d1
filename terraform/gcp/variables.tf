variable "project" {
  description = "Id of the project that pays. It is the boundary of trust in Compute: fleets that should not be able to end each other's instances have a project each."
  type        = string

  validation {
    condition     = can(regex("^([a-z0-9.-]+:)?[a-z][a-z0-9-]{4,28}[a-z0-9]$", var.project))
    error_message = "A project's id, which `gcloud projects list` shows; neither its name nor its number."
  }
}

variable "region" {
  description = "Region to rent in, where the bucket is too."
  type        = string

  validation {
    condition     = can(regex("^[a-z]+-[a-z]+[0-9]+$", var.region))
    error_message = "A region looks like us-central1; a zone has one more letter."
  }
}

variable "name" {
  description = "Name of the fleet, and of everything that is made. One of a kind in the project."
  type        = string
  default     = "spotrelay"

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,16}[a-z0-9]$", var.name))
    error_message = "A name has 3 to 18 lower-case letters, digits and hyphens, a letter first and no hyphen last."
  }
}

variable "labels" {
  description = "Labels for everything that is made and can bear them."
  type        = map(string)
  default     = {}

  validation {
    condition     = alltrue([for key, value in var.labels : can(regex("^[a-z][a-z0-9_-]{0,62}$", key)) && can(regex("^[a-z0-9_-]{0,63}$", value))])
    error_message = "Labels have lower-case letters, digits, _ and -, 63 at most, and a key begins with a letter."
  }
}

variable "enable_apis" {
  description = "Whether the APIs that the fleet needs are enabled in the project: Compute, Cloud Billing for prices, IAM, and those of a key or a budget. They stay enabled when the fleet is destroyed."
  type        = bool
  default     = true
}

variable "fleet_file" {
  description = "Where the fleet file is written; default: NAME.json in the folder of the root module. With gangs, a second one is written beside it: NAME-gang.json."
  type        = string
  default     = null

  validation {
    condition     = var.fleet_file == null ? true : endswith(var.fleet_file, ".json")
    error_message = "A fleet file's name ends in .json."
  }
}

variable "write_fleet_file" {
  description = "Whether the fleet file is written. Where Terraform runs on a machine of its own, take the output fleet_file instead."
  type        = bool
  default     = true
}
