# What Google Cloud would say of what is made, as far as the module looks at it.

mock_data "google_project" {
  defaults = { number = "123456789012" }
}

mock_data "google_storage_project_service_account" {
  defaults = { email_address = "service-123456789012@gs-project-accounts.iam.gserviceaccount.com" }
}

mock_resource "google_compute_network" {
  defaults = { id = "projects/acme-batch/global/networks/spotrelay" }
}

mock_resource "google_compute_subnetwork" {
  defaults = { id = "projects/acme-batch/regions/us-central1/subnetworks/spotrelay" }
}

mock_resource "google_service_account" {
  defaults = { email = "spotrelay-mock@acme-batch.iam.gserviceaccount.com", name = "projects/acme-batch/serviceAccounts/spotrelay-mock@acme-batch.iam.gserviceaccount.com" }
}

mock_resource "google_project_iam_custom_role" {
  defaults = { id = "projects/acme-batch/roles/mock" }
}

mock_resource "google_kms_key_ring" {
  defaults = { id = "projects/acme-batch/locations/us-central1/keyRings/spotrelay" }
}

mock_resource "google_kms_crypto_key" {
  defaults = { id = "projects/acme-batch/locations/us-central1/keyRings/spotrelay/cryptoKeys/bucket" }
}

mock_resource "google_compute_instance_template" {
  defaults = { id = "projects/acme-batch/global/instanceTemplates/mock" }
}

mock_resource "google_monitoring_notification_channel" {
  defaults = { id = "projects/acme-batch/notificationChannels/1" }
}
