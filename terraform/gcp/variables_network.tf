variable "subnetwork" {
  description = "Existing subnetwork of the region to rent in, as projects/P/regions/R/subnetworks/S. Default: a network is made, with one subnetwork. It needs Private Google Access or another way to Cloud Storage; no way in."
  type        = string
  default     = null

  validation {
    condition     = var.subnetwork == null ? true : can(regex("^projects/[a-z0-9.:-]+/regions/${var.region}/subnetworks/[a-z]([a-z0-9-]{0,61}[a-z0-9])?$", var.subnetwork))
    error_message = "A subnetwork of the fleet's region looks like projects/acme-batch/regions/us-central1/subnetworks/batch."
  }
}

variable "cidr" {
  description = "Addresses of the subnetwork that is made."
  type        = string
  default     = "10.64.0.0/16"

  validation {
    condition     = can(cidrnetmask(var.cidr)) && try(tonumber(split("/", var.cidr)[1]), 99) <= 26
    error_message = "An IPv4 range of /26 or larger."
  }
}

variable "zones" {
  description = "Zones to rent in; default: all of the region."
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for zone in var.zones : can(regex("^${var.region}-[a-z]$", zone))]) && length(distinct(var.zones)) == length(var.zones)
    error_message = "Zones of the fleet's region, such as us-central1-a, each once."
  }
}

variable "private" {
  description = "Whether instances have no external addresses. They reach Google's APIs and the bucket by Private Google Access, which costs nothing, and nothing else unless there is Cloud NAT."
  type        = bool
  default     = false
}

variable "nat" {
  description = "Cloud NAT for private instances. A gateway costs up to 32 dollars a month and 4.5 cents a gigabyte, by the instances that use it, and an address 3.65 dollars a month."
  type        = bool
  default     = false

  validation {
    condition     = !var.nat || (var.private && var.subnetwork == null)
    error_message = "Cloud NAT is for private instances in a subnetwork that is made here: set private = true and leave subnetwork out."
  }
}

variable "gangs" {
  description = "For tasks whose nodes talk to each other: a zone in which a second fleet rents, whose instances reach each other. Default: none."
  type = object({
    zone = string
  })
  default = null

  validation {
    condition     = var.gangs == null ? true : can(regex("^${var.region}-[a-z]$", var.gangs.zone)) && (length(var.zones) == 0 || contains(var.zones, var.gangs.zone))
    error_message = "gangs.zone is a zone of the fleet, such as us-central1-a."
  }

  validation {
    condition     = var.gangs == null || var.subnetwork == null
    error_message = "In a network of your own, let the gangs reach each other by a firewall rule of your own."
  }
}
