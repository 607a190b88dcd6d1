variable "name" {
  description = "Name of the fleet: of everything that is made, of the tag relay-fleet that its instances bear, and of the fleet file. One of a kind in the account."
  type        = string
  default     = "spotrelay"

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,25}[a-z0-9]$", var.name))
    error_message = "A name has 3 to 27 lower-case letters, digits and hyphens, a letter first and no hyphen last."
  }
}

variable "tags" {
  description = "Tags for everything that is made, and for the instances that spotrelay rents."
  type        = map(string)
  default     = {}

  validation {
    condition = length(var.tags) <= 30 && alltrue([
      for key, value in var.tags :
      length(key) >= 1 && length(key) <= 128 && length(value) <= 256
      && !startswith(lower(key), "aws:") && !startswith(key, "spotrelay-") && !contains(["Name", "relay-fleet"], key)
    ])
    error_message = "At most 30 tags, with keys of 1 to 128 characters and values of at most 256. Keys that begin with aws: or spotrelay-, and Name and relay-fleet, are taken."
  }
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
