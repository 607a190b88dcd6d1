variable "subnet_ids" {
  description = "Existing subnets to rent in, of one VPC. Default: a VPC is made, with a subnet in every zone. They need a way to S3, and to whatever else tasks reach; none in."
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for id in var.subnet_ids : can(regex("^subnet-[0-9a-f]{8,17}$", id))])
    error_message = "A subnet's id looks like subnet-0a1b2c3d4e5f60718."
  }

  validation {
    condition     = length(distinct(var.subnet_ids)) == length(var.subnet_ids)
    error_message = "A subnet is there twice."
  }
}

variable "vpc_cidr" {
  description = "Addresses of the VPC that is made: each zone gets a sixteenth of them."
  type        = string
  default     = "10.64.0.0/16"

  validation {
    condition     = can(cidrnetmask(var.vpc_cidr)) && try(tonumber(split("/", var.vpc_cidr)[1]), 0) >= 16 && try(tonumber(split("/", var.vpc_cidr)[1]), 99) <= 22
    error_message = "An IPv4 range from /16, the largest that a VPC takes, to /22."
  }
}

variable "zones" {
  description = "Zones of the VPC that is made, by name; default: all of the region that need no opting in."
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for zone in var.zones : can(regex("^[a-z]{2,}(-[a-z]+)+-[0-9]+[a-z]$", zone))])
    error_message = "A zone looks like us-east-1a."
  }

  validation {
    condition     = length(var.zones) <= 8 && length(distinct(var.zones)) == length(var.zones)
    error_message = "At most 8 zones, each once."
  }
}

variable "private" {
  description = "Whether the subnets that are made are private: instances have no public addresses and reach S3 by the VPC's gateway endpoint, which costs nothing. They reach nothing else, unless there is a NAT gateway."
  type        = bool
  default     = false
}

variable "nat" {
  description = "NAT gateways of private subnets: none, one for all zones, or one in each zone. A gateway costs about 33 dollars a month and 4.5 cents a gigabyte, whether a run is on or not."
  type        = string
  default     = "none"

  validation {
    condition     = contains(["none", "one", "zone"], var.nat)
    error_message = "It is none, one or zone."
  }

  validation {
    condition     = var.nat == "none" || (var.private && length(var.subnet_ids) == 0)
    error_message = "NAT gateways are for private subnets that are made here: set private = true and leave subnet_ids out."
  }
}

variable "gangs" {
  description = "For tasks whose nodes talk to each other: a zone in which a second fleet rents, all in a cluster placement group and a security group whose members reach each other. Default: none."
  type = object({
    zone = string
  })
  default = null

  validation {
    condition     = var.gangs == null ? true : can(regex("^[a-z]{2,}(-[a-z]+)+-[0-9]+[a-z]$", var.gangs.zone))
    error_message = "gangs.zone is a zone's name, such as us-east-1a."
  }
}
