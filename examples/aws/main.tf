# A fleet on AWS with its defaults: a VPC with a public subnet in every zone and
# no way in, a bucket, roles. It costs nothing while no run is on, but for what
# the bucket holds.

terraform {
  required_version = ">= 1.9.0, < 2.0.0"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 6.0.0, < 7.0.0"
    }
  }
}

variable "region" {
  description = "Region to rent in, where the bucket is too."
  type        = string
  default     = "us-east-1"
}

provider "aws" {
  region = var.region
}

module "fleet" {
  source = "../../terraform/aws"

  name = "relay-example"

  # Smaller types than the default would offer, since the example is small.
  instance_types = ["m7i.large", "m7a.large", "m7g.large", "m6i.large", "m6g.large", "c7i.large", "c7g.large"]
  max_instances  = 10

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
