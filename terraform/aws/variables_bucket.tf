variable "bucket_name" {
  description = "Name of the bucket that is made; default: NAME-ACCOUNT-REGION."
  type        = string
  default     = null

  validation {
    condition     = var.bucket_name == null ? true : can(regex("^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$", var.bucket_name))
    error_message = "A bucket's name has 3 to 63 lower-case letters, digits and hyphens."
  }
}

variable "existing_bucket" {
  description = "Name of a bucket that is there already, in this region, and is left as it is: for a second fleet, with a prefix of its own. Default: a bucket is made."
  type        = string
  default     = null

  validation {
    condition     = var.existing_bucket == null ? true : can(regex("^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$", var.existing_bucket))
    error_message = "A bucket's name has 3 to 63 lower-case letters, digits, hyphens and dots."
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

variable "access_logs" {
  description = "Keeps S3's log of who asked for what of the bucket, in a bucket beside it, for so many days. Default: none."
  type = object({
    days = optional(number, 90)
  })
  default = null

  validation {
    condition     = var.access_logs == null ? true : var.access_logs.days >= 1 && floor(var.access_logs.days) == var.access_logs.days
    error_message = "access_logs.days is a whole number, 1 at least."
  }

  validation {
    condition     = var.access_logs == null || var.existing_bucket == null
    error_message = "The log of an existing bucket is set up where that bucket is."
  }
}

variable "create_kms_key" {
  description = "Whether the bucket is encrypted with a key of its own (a dollar a month, and what the requests cost). Default: S3's own keys, at no cost."
  type        = bool
  default     = false

  validation {
    condition     = var.existing_bucket == null || !var.create_kms_key
    error_message = "An existing bucket has its key already: name it by kms_key_arn."
  }
}

variable "kms_key_arn" {
  description = "KMS key that the bucket is, or with existing_bucket was, encrypted with. Its policy must let the account's IAM policies decide, as the default one does."
  type        = string
  default     = null

  validation {
    condition     = var.kms_key_arn == null ? true : can(regex("^arn:aws[a-z-]*:kms:[a-z0-9-]+:[0-9]{12}:key/.+$", var.kms_key_arn))
    error_message = "A key's ARN looks like arn:aws:kms:us-east-1:111122223333:key/0a1b2c3d-...; an alias cannot stand in a policy."
  }

  validation {
    condition     = var.kms_key_arn == null || !var.create_kms_key
    error_message = "Either a key is made (create_kms_key) or there is one (kms_key_arn)."
  }
}
