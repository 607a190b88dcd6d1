# Who may do it where. Each grant is added to what is there and takes nothing
# away.

resource "google_project_iam_member" "look" {
  for_each = local.controllers

  project = var.project
  role    = google_project_iam_custom_role.look.id
  member  = each.value
}

resource "google_project_iam_member" "rent" {
  for_each = local.controllers

  project = var.project
  role    = google_project_iam_custom_role.rent.id
  member  = each.value

  dynamic "condition" {
    for_each = local.names_conditions

    content {
      title       = "spotrelay names"
      description = "Instances and disks that spotrelay names"
      expression  = condition.value
    }
  }
}

resource "google_compute_subnetwork_iam_member" "network" {
  for_each = local.controllers

  project    = split("/", local.subnetwork)[1]
  region     = var.region
  subnetwork = basename(local.subnetwork)
  role       = local.own_subnetwork ? google_project_iam_custom_role.network.id : "roles/compute.networkUser"
  member     = each.value
}

resource "google_service_account_iam_member" "act" {
  for_each = local.controllers

  service_account_id = google_service_account.instances.name
  role               = google_project_iam_custom_role.act.id
  member             = each.value
}

resource "google_storage_bucket_iam_member" "bucket" {
  for_each = local.everybody

  bucket = local.bucket_name
  role   = google_project_iam_custom_role.bucket.id
  member = each.value

  condition {
    title       = "prefix ${local.prefix}"
    description = "Objects below the fleet's prefix, and listings of it"
    expression  = local.prefix_condition
  }
}

resource "google_project_iam_member" "leave" {
  count = var.instances_end_themselves ? 1 : 0

  project = var.project
  role    = google_project_iam_custom_role.leave[0].id
  member  = local.instances_member

  dynamic "condition" {
    for_each = local.names_conditions

    content {
      title       = "spotrelay names"
      description = "Instances that spotrelay names"
      expression  = condition.value
    }
  }
}
