# Who there is: the instances, and the controller.

resource "google_service_account" "instances" {
  project      = var.project
  account_id   = "${var.name}-instances"
  display_name = "Instances of the spotrelay fleet ${var.name}"

  depends_on = [google_project_service.apis]
}

resource "google_service_account" "controller" {
  project      = var.project
  account_id   = "${var.name}-controller"
  display_name = "Controller of the spotrelay fleet ${var.name}"

  depends_on = [google_project_service.apis]
}

locals {
  instances_member  = "serviceAccount:${google_service_account.instances.email}"
  controller_member = "serviceAccount:${google_service_account.controller.email}"

  # By names that are known before anything is made.
  controllers = merge({ controller = local.controller_member }, { for member in var.controller_members : member => member })
  everybody   = merge({ instances = local.instances_member }, local.controllers)
}
