# The bucket that everything meets in.

locals {
  make_bucket = var.existing_bucket == null
  bucket_name = local.make_bucket ? google_storage_bucket.fleet[0].name : var.existing_bucket
  bucket_url  = "gs://${local.bucket_name}/${local.prefix}"
  use_kms     = var.create_kms_key || var.kms_key != null
  kms_key     = var.create_kms_key ? google_kms_crypto_key.bucket[0].id : var.kms_key
}

# No rule removes objects by their age: chunks are shared by checkpoints old and
# new. spotrelay removes what no run needs; neither versions nor deleted objects
# are kept, and paid, beyond that.
resource "google_storage_bucket" "fleet" {
  count = local.make_bucket ? 1 : 0

  project                     = var.project
  name                        = var.bucket_name == null ? "${var.name}-${var.project}" : var.bucket_name
  location                    = var.region
  storage_class               = "STANDARD"
  uniform_bucket_level_access = true
  public_access_prevention    = "enforced"
  force_destroy               = var.destroy_bucket
  labels                      = local.labels

  versioning {
    enabled = false
  }

  soft_delete_policy {
    retention_duration_seconds = 0
  }

  lifecycle_rule {
    action {
      type = "AbortIncompleteMultipartUpload"
    }

    condition {
      age = var.aborted_upload_days
    }
  }

  dynamic "encryption" {
    for_each = local.use_kms ? [local.kms_key] : []

    content {
      default_kms_key_name = encryption.value
    }
  }

  depends_on = [google_kms_crypto_key_iam_member.storage]
}
