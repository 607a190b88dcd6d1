# A key of the bucket's own, where it is wanted. Key rings cannot be deleted;
# terraform destroy leaves it, empty and at no cost.

data "google_storage_project_service_account" "storage" {
  count = var.create_kms_key ? 1 : 0

  project = var.project
}

resource "google_kms_key_ring" "bucket" {
  count = var.create_kms_key ? 1 : 0

  project  = var.project
  name     = var.name
  location = var.region

  depends_on = [google_project_service.apis]
}

resource "google_kms_crypto_key" "bucket" {
  count = var.create_kms_key ? 1 : 0

  name            = "bucket"
  key_ring        = google_kms_key_ring.bucket[0].id
  rotation_period = "7776000s"
  labels          = local.labels
}

resource "google_kms_crypto_key_iam_member" "storage" {
  count = var.create_kms_key ? 1 : 0

  crypto_key_id = google_kms_crypto_key.bucket[0].id
  role          = "roles/cloudkms.cryptoKeyEncrypterDecrypter"
  member        = "serviceAccount:${data.google_storage_project_service_account.storage[0].email_address}"
}
