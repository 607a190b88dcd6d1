# A network of one subnetwork, unless there is one already. It has no firewall
# rule: Compute's own let everything out and nothing in. It costs nothing while no
# instance is there, but for Cloud NAT.

locals {
  make_network = var.subnetwork == null
  subnetwork   = local.make_network ? google_compute_subnetwork.fleet[0].id : var.subnetwork

  # A project's own roles are good for the project alone, not for the host
  # project of a Shared VPC.
  own_subnetwork = var.subnetwork == null ? true : split("/", var.subnetwork)[1] == var.project
}

resource "google_compute_network" "fleet" {
  count = local.make_network ? 1 : 0

  project                 = var.project
  name                    = var.name
  description             = "Network of the spotrelay fleet ${var.name}"
  auto_create_subnetworks = false
  routing_mode            = "REGIONAL"

  depends_on = [google_project_service.apis]
}

resource "google_compute_subnetwork" "fleet" {
  count = local.make_network ? 1 : 0

  project                  = var.project
  region                   = var.region
  name                     = var.name
  network                  = google_compute_network.fleet[0].id
  ip_cidr_range            = var.cidr
  private_ip_google_access = true
}

resource "google_compute_router" "nat" {
  count = var.nat ? 1 : 0

  project = var.project
  region  = var.region
  name    = var.name
  network = google_compute_network.fleet[0].id
}

resource "google_compute_router_nat" "nat" {
  count = var.nat ? 1 : 0

  project                            = var.project
  region                             = var.region
  name                               = var.name
  router                             = google_compute_router.nat[0].name
  nat_ip_allocate_option             = "AUTO_ONLY"
  source_subnetwork_ip_ranges_to_nat = "LIST_OF_SUBNETWORKS"

  subnetwork {
    name                    = google_compute_subnetwork.fleet[0].id
    source_ip_ranges_to_nat = ["ALL_IP_RANGES"]
  }
}

# Gangs: what bears their network tag reaches each other.
resource "google_compute_firewall" "gangs" {
  count = var.gangs == null ? 0 : 1

  project     = var.project
  name        = "${var.name}-gangs"
  description = "Gangs of the spotrelay fleet ${var.name}: each other, and nothing else in"
  network     = google_compute_network.fleet[0].id
  direction   = "INGRESS"
  source_tags = ["${var.name}-gang"]
  target_tags = ["${var.name}-gang"]

  allow {
    protocol = "all"
  }
}
