# NAT gateways, for private subnets whose instances must reach more than S3.

resource "aws_subnet" "nat" {
  for_each = toset(local.nat_zones)

  vpc_id            = aws_vpc.fleet[0].id
  availability_zone = each.value
  cidr_block        = cidrsubnet(var.vpc_cidr, 4, 8 + index(local.zones, each.value))
  tags              = merge(local.tags, { Name = "${var.name}-nat-${each.value}" })
}

resource "aws_route_table" "nat" {
  count = length(local.nat_zones) > 0 ? 1 : 0

  vpc_id = aws_vpc.fleet[0].id
  tags   = merge(local.tags, { Name = "${var.name}-nat" })
}

resource "aws_route" "nat_internet" {
  count = length(local.nat_zones) > 0 ? 1 : 0

  route_table_id         = aws_route_table.nat[0].id
  destination_cidr_block = "0.0.0.0/0"
  gateway_id             = aws_internet_gateway.fleet[0].id
}

resource "aws_route_table_association" "nat" {
  for_each = toset(local.nat_zones)

  subnet_id      = aws_subnet.nat[each.value].id
  route_table_id = aws_route_table.nat[0].id
}

resource "aws_eip" "nat" {
  for_each = toset(local.nat_zones)

  domain = "vpc"
  tags   = merge(local.tags, { Name = "${var.name}-nat-${each.value}" })
}

resource "aws_nat_gateway" "fleet" {
  for_each = toset(local.nat_zones)

  allocation_id = aws_eip.nat[each.value].id
  subnet_id     = aws_subnet.nat[each.value].id
  tags          = merge(local.tags, { Name = "${var.name}-${each.value}" })

  depends_on = [aws_route.nat_internet]
}

resource "aws_route" "instances_nat" {
  for_each = toset(var.nat == "zone" ? local.zones : var.nat == "one" ? ["all"] : [])

  route_table_id         = aws_route_table.instances[each.value].id
  destination_cidr_block = "0.0.0.0/0"
  nat_gateway_id         = aws_nat_gateway.fleet[var.nat == "zone" ? each.value : local.nat_zones[0]].id
}
