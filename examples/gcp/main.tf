# A fleet on Google Cloud with its defaults: a network without any way in, a
# bucket, service accounts. It costs nothing while no run is on, but for what the
# bucket holds.

terraform {
  required_version = ">= 1.9.0, < 2.0.0"

  required_providers {
    google = {
      source  = "hashicorp/google"
      version = ">= 6.0.0, < 8.0.0"
    }
  }
}

variable "project" {
  description = "Id of the project that pays."
  type        = string
}

variable "region" {
  description = "Region to rent in, where the bucket is too."
  type        = string
  default     = "us-central1"
}

provider "google" {
  project = var.project
  region  = var.region
}

module "fleet" {
  source = "../../terraform/gcp"

  project = var.project
  region  = var.region
  name    = "relay-example"

  # Smaller types than the default would offer, since the example is small.
  machine_types = ["n2-standard-2", "e2-standard-2", "t2a-standard-2"]

  # It is an example: terraform destroy removes the bucket with its runs.
  destroy_bucket = true
}

output "bucket" {
  description = "Address of the fleet's part of the bucket, for --bucket."
  value       = module.fleet.bucket
}

output "fleet_file" {
  description = "The fleet file that job.hcl names."
  value       = module.fleet.fleet_file_path
}
