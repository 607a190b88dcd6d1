# What the instances are: their role, group and launch template.

resource "aws_iam_role" "instances" {
  name                 = "${var.name}-instances"
  description          = "Instances of the spotrelay fleet ${var.name}"
  max_session_duration = 3600
  tags                 = local.tags

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Action    = "sts:AssumeRole"
      Principal = { Service = "ec2.${data.aws_partition.current.dns_suffix}" }
    }]
  })
}

# The bucket, and nothing else. An instance ends itself by powering off, which
# its launch turns into termination, so it needs no permission in EC2.
resource "aws_iam_role_policy" "instances" {
  name = "bucket"
  role = aws_iam_role.instances.id

  policy = jsonencode({
    Version   = "2012-10-17"
    Statement = local.bucket_statements
  })
}

resource "aws_iam_instance_profile" "instances" {
  name = aws_iam_role.instances.name
  role = aws_iam_role.instances.name
  tags = local.tags
}

# No rule lets anything in.
resource "aws_security_group" "instances" {
  name        = "${var.name}-instances"
  description = "Instances of the spotrelay fleet ${var.name}: out, and nothing in"
  vpc_id      = local.vpc_id
  tags        = merge(local.tags, { Name = "${var.name}-instances" })
}

resource "aws_vpc_security_group_egress_rule" "instances" {
  security_group_id = aws_security_group.instances.id
  description       = "To the bucket, and to whatever tasks reach"
  cidr_ipv4         = "0.0.0.0/0"
  ip_protocol       = "-1"
  tags              = local.tags
}

# spotrelay copies it for each run and adds the agent's start; the fleet file
# names its version, so a change here reaches runs with the next fleet file.
resource "aws_launch_template" "instances" {
  name                                 = "${var.name}-instances"
  description                          = "Instances of the spotrelay fleet ${var.name}"
  update_default_version               = true
  instance_initiated_shutdown_behavior = "terminate"
  tags                                 = local.tags

  metadata_options {
    http_endpoint               = "enabled"
    http_tokens                 = "required"
    http_put_response_hop_limit = 1
  }
}
