# For gangs: instances close together in one zone, that reach each other.

locals {
  make_gangs = var.gangs != null
}

resource "aws_placement_group" "gangs" {
  count = local.make_gangs ? 1 : 0

  name     = "${var.name}-gangs"
  strategy = "cluster"
  tags     = local.tags
}

resource "aws_security_group" "gangs" {
  count = local.make_gangs ? 1 : 0

  name        = "${var.name}-gangs"
  description = "Gangs of the spotrelay fleet ${var.name}: each other, and nothing else in"
  vpc_id      = local.vpc_id
  tags        = merge(local.tags, { Name = "${var.name}-gangs" })
}

resource "aws_vpc_security_group_ingress_rule" "gangs" {
  count = local.make_gangs ? 1 : 0

  security_group_id            = aws_security_group.gangs[0].id
  referenced_security_group_id = aws_security_group.gangs[0].id
  description                  = "Members of this group"
  ip_protocol                  = "-1"
  tags                         = local.tags
}

# The Elastic Fabric Adapter asks for the way out by name ("Get started with EFA
# and MPI", step 1).
resource "aws_vpc_security_group_egress_rule" "gangs" {
  count = local.make_gangs ? 1 : 0

  security_group_id            = aws_security_group.gangs[0].id
  referenced_security_group_id = aws_security_group.gangs[0].id
  description                  = "Members of this group"
  ip_protocol                  = "-1"
  tags                         = local.tags
}

resource "aws_launch_template" "gangs" {
  count = local.make_gangs ? 1 : 0

  name                                 = "${var.name}-gangs"
  description                          = "Gangs of the spotrelay fleet ${var.name}"
  update_default_version               = true
  instance_initiated_shutdown_behavior = "terminate"
  tags                                 = local.tags

  metadata_options {
    http_endpoint               = "enabled"
    http_tokens                 = "required"
    http_put_response_hop_limit = 1
  }

  placement {
    group_name = aws_placement_group.gangs[0].name
  }

  lifecycle {
    precondition {
      condition     = contains(keys(local.subnets_in_zone), var.gangs.zone)
      error_message = "The fleet has no subnet in the zone of its gangs, ${var.gangs.zone}."
    }
  }
}
