# The controller VM: one on-demand instance that runs `spotrelay serve`, put back
# by its group when it is lost. Everything it knows is in the bucket.

locals {
  controller_vms = var.controller == null ? [] : [var.controller]
}

resource "google_compute_instance_template" "controller" {
  count = length(local.controller_vms)

  project      = var.project
  region       = var.region
  name_prefix  = "${var.name}-controller-"
  description  = "Controller of the spotrelay fleet ${var.name}"
  machine_type = local.controller_vms[0].machine_type
  labels       = local.labels

  metadata = {
    block-project-ssh-keys = "true"
    startup-script = templatefile("${path.module}/controller.sh.tftpl", {
      bucket   = local.bucket_url
      program  = local.controller_vms[0].program
      sha256   = local.controller_vms[0].sha256
      max_runs = local.controller_vms[0].max_runs
    })
  }

  disk {
    boot         = true
    auto_delete  = true
    source_image = local.controller_vms[0].image
    disk_type    = "pd-balanced"
    disk_size_gb = 10
  }

  network_interface {
    subnetwork = local.subnetwork

    dynamic "access_config" {
      for_each = var.private ? [] : ["address"]

      content {
        network_tier = "PREMIUM"
      }
    }
  }

  service_account {
    email  = google_service_account.controller.email
    scopes = ["https://www.googleapis.com/auth/cloud-platform"]
  }

  scheduling {
    provisioning_model  = "STANDARD"
    automatic_restart   = true
    on_host_maintenance = "MIGRATE"
  }

  shielded_instance_config {
    enable_vtpm                 = true
    enable_integrity_monitoring = true
  }

  lifecycle {
    create_before_destroy = true
  }
}

resource "google_compute_region_instance_group_manager" "controller" {
  count = length(local.controller_vms)

  project            = var.project
  region             = var.region
  name               = "${var.name}-controller"
  base_instance_name = "${var.name}-controller"
  target_size        = 1

  version {
    instance_template = google_compute_instance_template.controller[0].id
  }

  # Runs are carried by whoever lives: the old one may go before the new one is
  # there.
  update_policy {
    type                         = "PROACTIVE"
    minimal_action               = "REPLACE"
    instance_redistribution_type = "NONE"
    max_surge_fixed              = 0
    max_unavailable_fixed        = 10
    replacement_method           = "SUBSTITUTE"
  }

  depends_on = [
    google_compute_subnetwork_iam_member.network,
    google_project_iam_member.look,
    google_project_iam_member.rent,
    google_service_account_iam_member.act,
    google_storage_bucket_iam_member.bucket,
  ]
}
