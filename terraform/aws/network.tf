# A VPC with a subnet in every zone, unless there are subnets already. Nothing in
# it costs anything while no instance is there, but for NAT gateways.

data "aws_availability_zones" "available" {
  state = "available"

  filter {
    name   = "opt-in-status"
    values = ["opt-in-not-required"]
  }
}

data "aws_subnet" "existing" {
  for_each = toset(var.subnet_ids)

  id = each.value
}

locals {
  make_network = length(var.subnet_ids) == 0

  all_zones = length(var.zones) > 0 ? sort(var.zones) : slice(sort(data.aws_availability_zones.available.names), 0, min(8, length(data.aws_availability_zones.available.names)))
  zones     = local.make_network ? local.all_zones : []
  nat_zones = var.nat == "zone" ? local.zones : var.nat == "one" ? slice(local.zones, 0, 1) : []

  vpc_id = local.make_network ? aws_vpc.fleet[0].id : data.aws_subnet.existing[var.subnet_ids[0]].vpc_id

  # Subnets of the fleet by zone. Existing ones may share a zone.
  subnet_ids      = local.make_network ? [for zone in local.zones : aws_subnet.instances[zone].id] : var.subnet_ids
  subnets_in_zone = local.make_network ? { for zone in local.zones : zone => [aws_subnet.instances[zone].id] } : { for id in var.subnet_ids : data.aws_subnet.existing[id].availability_zone => id... }
}

resource "aws_vpc" "fleet" {
  count = local.make_network ? 1 : 0

  cidr_block           = var.vpc_cidr
  enable_dns_support   = true
  enable_dns_hostnames = true
  tags                 = merge(local.tags, { Name = var.name })
}

# Whatever is put into the VPC without a group of its own gets this one: no way
# in and none out.
resource "aws_default_security_group" "none" {
  count = local.make_network ? 1 : 0

  vpc_id = aws_vpc.fleet[0].id
  tags   = merge(local.tags, { Name = "${var.name}-default" })
}

resource "aws_subnet" "instances" {
  for_each = toset(local.zones)

  vpc_id                  = aws_vpc.fleet[0].id
  availability_zone       = each.value
  cidr_block              = cidrsubnet(var.vpc_cidr, 4, index(local.zones, each.value))
  map_public_ip_on_launch = !var.private
  tags                    = merge(local.tags, { Name = "${var.name}-${each.value}" })
}

resource "aws_internet_gateway" "fleet" {
  count = local.make_network && (!var.private || var.nat != "none") ? 1 : 0

  vpc_id = aws_vpc.fleet[0].id
  tags   = merge(local.tags, { Name = var.name })
}

# Routes of the instances: one table for all, or one a zone where each zone has a
# NAT gateway.
resource "aws_route_table" "instances" {
  for_each = toset(!local.make_network ? [] : var.nat == "zone" ? local.zones : ["all"])

  vpc_id = aws_vpc.fleet[0].id
  tags   = merge(local.tags, { Name = "${var.name}-${each.value}" })
}

resource "aws_route_table_association" "instances" {
  for_each = toset(local.zones)

  subnet_id      = aws_subnet.instances[each.value].id
  route_table_id = aws_route_table.instances[var.nat == "zone" ? each.value : "all"].id
}

resource "aws_route" "internet" {
  count = local.make_network && !var.private ? 1 : 0

  route_table_id         = aws_route_table.instances["all"].id
  destination_cidr_block = "0.0.0.0/0"
  gateway_id             = aws_internet_gateway.fleet[0].id
}

# S3 is reached within AWS's network, at no cost, whatever else there is.
resource "aws_vpc_endpoint" "s3" {
  count = local.make_network ? 1 : 0

  vpc_id            = aws_vpc.fleet[0].id
  service_name      = "com.amazonaws.${local.region}.s3"
  vpc_endpoint_type = "Gateway"
  route_table_ids   = [for table in aws_route_table.instances : table.id]
  tags              = merge(local.tags, { Name = "${var.name}-s3" })
}
