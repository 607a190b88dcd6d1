# The fleet file: docs/terraform.md has its form, docs/gcp.md what is in config.

locals {
  settings = merge(
    {
      project           = var.project
      region            = var.region
      subnetwork        = local.subnetwork
      service_account   = google_service_account.instances.email
      external_ip       = !var.private
      disk_size         = var.disk.size
      preemption_notice = var.preemption_notice
    },
    length(var.zones) == 0 ? {} : { zones = var.zones },
    var.image == null ? {} : { image = var.image },
    var.image_arm64 == null ? {} : { image_arm64 = var.image_arm64 },
    length(var.machine_types) == 0 ? {} : { machine_types = var.machine_types },
    length(var.exclude_machine_types) == 0 ? {} : { exclude_machine_types = var.exclude_machine_types },
    var.disk.type == null ? {} : { disk_type = var.disk.type },
  )

  fleet = {
    version  = 1
    provider = "gcp"
    bucket   = local.bucket_url
    config   = local.settings
  }

  gang_fleets = [
    for gangs in var.gangs == null ? [] : [var.gangs] : merge(local.fleet, {
      config = merge(local.settings, {
        zones        = [gangs.zone]
        network_tags = ["${var.name}-gang"]
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
  count = var.write_fleet_file && var.gangs != null ? 1 : 0

  filename        = local.gang_fleet_file
  content         = "${jsonencode(local.gang_fleets[0])}\n"
  file_permission = "0644"
}
