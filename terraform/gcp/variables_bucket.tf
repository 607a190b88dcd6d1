variable "bucket_name" {
  description = "Name of the bucket that is made; default: NAME-PROJECT."
  type        = string
  default     = null

  validation {
    condition     = var.bucket_name == null ? true : can(regex("^[a-z0-9][a-z0-9_-]{1,61}[a-z0-9]$", var.bucket_name))
    error_message = "A bucket's name has 3 to 63 lower-case letters, digits, _ and -."
  }
}

variable "existing_bucket" {
  description = "Name of a bucket that is there already, with uniform access, and is left as it is: for a second fleet, with a prefix of its own. Default: a bucket is made."
  type        = string
  default     = null

  validation {
    condition     = var.existing_bucket == null ? true : can(regex("^[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]$", var.existing_bucket))
    error_message = "A bucket's name has lower-case letters, digits, dots, _ and -."
  }

  validation {
    condition     = var.existing_bucket == null || var.bucket_name == null
    error_message = "Either a bucket is made (bucket_name) or there is one (existing_bucket)."
  }
}

variable "prefix" {
  description = "Prefix of the fleet in the bucket; default: the fleet's name. All that is below it can be read and written by every instance of the fleet, and by those of no other."
  type        = string
  default     = null

  validation {
    condition     = var.prefix == null ? true : can(regex("^[A-Za-z0-9_-]+(/[A-Za-z0-9_-]+)*$", var.prefix))
    error_message = "A prefix has letters, digits, _ and -, and / between; none first or last."
  }
}

variable "destroy_bucket" {
  description = "Whether terraform destroy removes the bucket with all that is in it: every run, checkpoint and output."
  type        = bool
  default     = false
}

variable "aborted_upload_days" {
  description = "After how many days the parts of an upload that was never finished are removed."
  type        = number
  default     = 1

  validation {
    condition     = var.aborted_upload_days >= 1 && floor(var.aborted_upload_days) == var.aborted_upload_days
    error_message = "A whole number of days, 1 at least."
  }
}

variable "create_kms_key" {
  description = "Whether the bucket is encrypted with a key of its own (6 cents a month, and what the requests cost). Default: Google's own keys, at no cost."
  type        = bool
  default     = false
}

variable "kms_key" {
  description = "Key that the bucket is encrypted with, as projects/P/locations/L/keyRings/R/cryptoKeys/K. Cloud Storage's service agent must be allowed to use it."
  type        = string
  default     = null

  validation {
    condition     = var.kms_key == null ? true : can(regex("^projects/[^/]+/locations/[^/]+/keyRings/[^/]+/cryptoKeys/[^/]+$", var.kms_key))
    error_message = "A key looks like projects/acme-batch/locations/us-central1/keyRings/batch/cryptoKeys/bucket."
  }

  validation {
    condition     = var.kms_key == null || (!var.create_kms_key && var.existing_bucket == null)
    error_message = "Either a key is made (create_kms_key) or there is one (kms_key), and an existing bucket has its own."
  }
}
