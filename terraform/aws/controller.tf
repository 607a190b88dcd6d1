# The controller VM: one on-demand instance that runs `spotrelay serve`, put back
# by its group when it is lost. Everything it knows is in the bucket.

locals {
  controllers = var.controller == null ? [] : [var.controller]
}

data "aws_ssm_parameter" "controller_image" {
  count = length(local.controllers)

  name = "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-${local.controllers[0].architecture}"
}

resource "aws_iam_instance_profile" "controller" {
  count = length(local.controllers)

  name = aws_iam_role.controller.name
  role = aws_iam_role.controller.name
  tags = local.tags
}

resource "aws_launch_template" "controller" {
  count = length(local.controllers)

  name                                 = "${var.name}-controller"
  description                          = "Controller of the spotrelay fleet ${var.name}"
  update_default_version               = true
  image_id                             = data.aws_ssm_parameter.controller_image[0].insecure_value
  instance_type                        = local.controllers[0].instance_type
  instance_initiated_shutdown_behavior = "terminate"
  vpc_security_group_ids               = [aws_security_group.instances.id]
  tags                                 = local.tags

  user_data = base64encode(templatefile("${path.module}/controller.sh.tftpl", {
    bucket   = local.bucket_url
    program  = local.controllers[0].program
    region   = local.region
    sha256   = local.controllers[0].sha256
    max_runs = local.controllers[0].max_runs
  }))

  iam_instance_profile {
    arn = aws_iam_instance_profile.controller[0].arn
  }

  metadata_options {
    http_endpoint               = "enabled"
    http_tokens                 = "required"
    http_put_response_hop_limit = 1
  }

  block_device_mappings {
    device_name = "/dev/xvda"

    ebs {
      volume_type           = "gp3"
      volume_size           = 10
      encrypted             = true
      delete_on_termination = true
    }
  }

  tag_specifications {
    resource_type = "instance"
    tags          = merge(local.tags, { Name = "${var.name}-controller" })
  }

  tag_specifications {
    resource_type = "volume"
    tags          = merge(local.tags, { Name = "${var.name}-controller" })
  }
}

resource "aws_autoscaling_group" "controller" {
  count = length(local.controllers)

  name                      = "${var.name}-controller"
  min_size                  = 1
  max_size                  = 1
  desired_capacity          = 1
  vpc_zone_identifier       = local.subnet_ids
  health_check_type         = "EC2"
  health_check_grace_period = 300

  launch_template {
    id      = aws_launch_template.controller[0].id
    version = aws_launch_template.controller[0].latest_version
  }

  # Runs are carried by whoever lives: the old one may go before the new one is
  # there.
  instance_refresh {
    strategy = "Rolling"

    preferences {
      min_healthy_percentage = 0
    }
  }

  dynamic "tag" {
    for_each = merge(local.tags, { Name = "${var.name}-controller" })

    content {
      key                 = tag.key
      value               = tag.value
      propagate_at_launch = false
    }
  }

  depends_on = [aws_iam_role_policy_attachment.controller]
}
