# What everything else is made of.

data "google_project" "fleet" {
  project_id = var.project
}

locals {
  prefix  = var.prefix == null ? var.name : var.prefix
  role_id = replace(var.name, "-", "_")
  labels  = merge(var.labels, { relay-fleet = var.name })

  apis = concat(
    ["cloudbilling.googleapis.com", "compute.googleapis.com", "iam.googleapis.com"],
    var.create_kms_key ? ["cloudkms.googleapis.com"] : [],
    var.budget == null ? [] : ["billingbudgets.googleapis.com", "monitoring.googleapis.com"],
  )
}

resource "google_project_service" "apis" {
  for_each = toset(var.enable_apis ? local.apis : [])

  project            = var.project
  service            = each.value
  disable_on_destroy = false
}
