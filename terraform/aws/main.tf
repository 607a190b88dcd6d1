# What everything else is made of.

data "aws_caller_identity" "current" {}

data "aws_partition" "current" {}

data "aws_region" "current" {}

locals {
  account   = data.aws_caller_identity.current.account_id
  partition = data.aws_partition.current.partition
  region    = data.aws_region.current.region

  # The tag that keeps fleets apart: instances bear it, and the controller may
  # end only what bears it.
  fleet_tag = "relay-fleet"
  tags      = merge(var.tags, { (local.fleet_tag) = var.name })

  prefix     = var.prefix == null ? var.name : var.prefix
  arn_prefix = "arn:${local.partition}"
  ec2_arn    = "${local.arn_prefix}:ec2:${local.region}:${local.account}"
}
