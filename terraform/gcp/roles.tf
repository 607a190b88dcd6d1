# What each may do: exactly the permissions of the calls that the provider makes,
# which a test compares (terraform/terraformtest).

locals {
  # spotrelay names instances, and so their disks, spotrelay-...
  names_condition = join(" && ", [
    "(resource.type != \"compute.googleapis.com/Instance\" || resource.name.extract(\"/instances/{name}\").startsWith(\"spotrelay-\"))",
    "(resource.type != \"compute.googleapis.com/Disk\" || resource.name.extract(\"/disks/{name}\").startsWith(\"spotrelay-\"))",
  ])
  names_conditions = var.name_condition ? [local.names_condition] : []

  # Objects below the prefix, and listings of it.
  prefix_condition = join(" || ", [
    "resource.name.startsWith(\"projects/_/buckets/${local.bucket_name}/objects/${local.prefix}/\")",
    "api.getAttribute(\"storage.googleapis.com/objectListPrefix\", \"\").startsWith(\"${local.prefix}/\")",
  ])
}

resource "google_project_iam_custom_role" "look" {
  project     = var.project
  role_id     = "${local.role_id}_look"
  title       = "spotrelay ${var.name}: look"
  description = "What the controller reads of Compute"

  permissions = [
    "compute.acceleratorTypes.list",
    "compute.images.get",
    "compute.images.getFromFamily",
    "compute.images.useReadOnly",
    "compute.instances.list",
    "compute.machineTypes.list",
    "compute.networks.get",
    "compute.projects.get",
    "compute.regionOperations.get",
    "compute.regions.get",
    "compute.subnetworks.get",
    "compute.zoneOperations.list",
  ]

  depends_on = [google_project_service.apis]
}

resource "google_project_iam_custom_role" "rent" {
  project     = var.project
  role_id     = "${local.role_id}_rent"
  title       = "spotrelay ${var.name}: rent"
  description = "What the controller does with its instances"

  permissions = [
    "compute.disks.create",
    "compute.disks.setLabels",
    "compute.instances.create",
    "compute.instances.delete",
    "compute.instances.get",
    "compute.instances.getSerialPortOutput",
    "compute.instances.setLabels",
    "compute.instances.setMetadata",
    "compute.instances.setServiceAccount",
    "compute.instances.setTags",
    "compute.instances.simulateMaintenanceEvent",
  ]

  depends_on = [google_project_service.apis]
}

resource "google_project_iam_custom_role" "network" {
  project     = var.project
  role_id     = "${local.role_id}_network"
  title       = "spotrelay ${var.name}: network"
  description = "Instances in the fleet's subnetwork"
  permissions = concat(["compute.subnetworks.use"], var.private ? [] : ["compute.subnetworks.useExternalIp"])

  depends_on = [google_project_service.apis]
}

resource "google_project_iam_custom_role" "act" {
  project     = var.project
  role_id     = "${local.role_id}_act"
  title       = "spotrelay ${var.name}: act"
  description = "Instances that act as the fleet's service account"
  permissions = ["iam.serviceAccounts.actAs"]

  depends_on = [google_project_service.apis]
}

resource "google_project_iam_custom_role" "bucket" {
  project     = var.project
  role_id     = "${local.role_id}_bucket"
  title       = "spotrelay ${var.name}: bucket"
  description = "Objects below the fleet's prefix"

  permissions = [
    "storage.objects.create",
    "storage.objects.delete",
    "storage.objects.get",
    "storage.objects.list",
  ]

  depends_on = [google_project_service.apis]
}

resource "google_project_iam_custom_role" "leave" {
  count = var.instances_end_themselves ? 1 : 0

  project     = var.project
  role_id     = "${local.role_id}_leave"
  title       = "spotrelay ${var.name}: leave"
  description = "An instance that has nothing to run ends itself"
  permissions = ["compute.instances.delete"]

  depends_on = [google_project_service.apis]
}
