# What the fleet file says beside what is made here; docs/aws.md has all of it.

variable "image" {
  description = "Image of the instances, as docs/aws.md has it: an id, an alias, an SSM parameter, a name. Default: ubuntu-24.04."
  type        = string
  default     = null

  validation {
    condition     = var.image == null ? true : length(trimspace(var.image)) > 0
    error_message = "An image has a name; leave it out for ubuntu-24.04."
  }
}

variable "instance_types" {
  description = "The only instance types to rent, with * and ?. Default: the current generation without burstable, bare metal and, unless GPUs are asked for, accelerated ones."
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for glob in var.instance_types : can(regex("^[a-z0-9*?-]+(\\.[a-z0-9*?-]+)?$", glob))])
    error_message = "An instance type looks like m7i.large or c7*.*; * is any text, ? any character."
  }
}

variable "exclude_types" {
  description = "Instance types never to rent, with * and ?."
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for glob in var.exclude_types : can(regex("^[a-z0-9*?-]+(\\.[a-z0-9*?-]+)?$", glob))])
    error_message = "An instance type looks like m7i.large or *.24xlarge; * is any text, ? any character."
  }
}

variable "max_price" {
  description = "The most dollars an hour for one spot instance. Default: the on-demand price, AWS's own bound."
  type        = number
  default     = null

  validation {
    condition     = var.max_price == null ? true : var.max_price > 0
    error_message = "A price is above zero."
  }
}

variable "max_instances" {
  description = "How many instances of a run may live in the fleet at once. Default: no bound but the account's quotas."
  type        = number
  default     = null

  validation {
    condition     = var.max_instances == null ? true : var.max_instances >= 1 && floor(var.max_instances) == var.max_instances
    error_message = "A whole number, 1 at least."
  }
}

variable "disk" {
  description = "Root volume of the instances: size at least, type, and whether it is encrypted (with the account's default key). A task's resources.disk makes it larger."
  type = object({
    size      = optional(string, "20GiB")
    type      = optional(string, "gp3")
    encrypted = optional(bool, true)
  })
  default = {}

  validation {
    condition     = can(regex("^[1-9][0-9]*(\\.[0-9]+)?(GB|GiB|TB|TiB)$", var.disk.size))
    error_message = "disk.size looks like 100GiB."
  }

  validation {
    condition     = contains(["gp3", "gp2", "standard"], var.disk.type)
    error_message = "disk.type is gp3, gp2 or standard."
  }
}

variable "controller_principals" {
  description = "ARNs of users and roles that may become the controller, to submit and run from where they are. Default: whom the account's IAM policies allow it."
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for arn in var.controller_principals : can(regex("^arn:aws[a-z-]*:(iam|sts)::[0-9]{12}:[^*]+$", arn))])
    error_message = "A principal is an ARN such as arn:aws:iam::111122223333:role/batch-users, without *."
  }
}
