# The fleet file: docs/terraform.md has its form, docs/aws.md what is in config.

locals {
  settings = merge(
    {
      region           = local.region
      subnets          = local.subnet_ids
      security_groups  = [aws_security_group.instances.id]
      instance_profile = aws_iam_instance_profile.instances.name
      tags             = local.tags
      disk             = { size = var.disk.size, type = var.disk.type, encrypted = var.disk.encrypted }
      launch_template  = { id = aws_launch_template.instances.id, version = tostring(aws_launch_template.instances.latest_version) }
    },
    var.image == null ? {} : { image = var.image },
    length(var.instance_types) == 0 ? {} : { instance_types = var.instance_types },
    length(var.exclude_types) == 0 ? {} : { exclude_types = var.exclude_types },
    var.max_price == null ? {} : { max_price = var.max_price },
    var.max_instances == null ? {} : { max_instances = var.max_instances },
  )

  fleet = {
    version  = 1
    provider = "aws"
    bucket   = local.bucket_url
    config   = local.settings
  }

  gang_fleets = [
    for gangs in local.make_gangs ? [var.gangs] : [] : merge(local.fleet, {
      config = merge(local.settings, {
        subnets         = try(local.subnets_in_zone[gangs.zone], [])
        security_groups = [aws_security_group.instances.id, aws_security_group.gangs[0].id]
        launch_template = { id = aws_launch_template.gangs[0].id, version = tostring(aws_launch_template.gangs[0].latest_version) }
      })
    })
  ]

  fleet_file      = var.fleet_file == null ? "${path.root}/${var.name}.json" : var.fleet_file
  gang_fleet_file = replace(local.fleet_file, "/\\.json$/", "-gang.json")
}

resource "local_file" "fleet" {
  count = var.write_fleet_file ? 1 : 0

  filename        = local.fleet_file
  content         = "${jsonencode(local.fleet)}\n"
  file_permission = "0644"
}

resource "local_file" "gang_fleet" {
  count = var.write_fleet_file && local.make_gangs ? 1 : 0

  filename        = local.gang_fleet_file
  content         = "${jsonencode(local.gang_fleets[0])}\n"
  file_permission = "0644"
}
