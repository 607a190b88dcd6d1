# The bucket that everything meets in.

locals {
  make_bucket = var.existing_bucket == null
  bucket_name = local.make_bucket ? aws_s3_bucket.fleet[0].bucket : var.existing_bucket
  bucket_arn  = "${local.arn_prefix}:s3:::${local.bucket_name}"
  bucket_url  = "s3://${local.bucket_name}/${local.prefix}?region=${local.region}"
  kms_key_arn = var.create_kms_key ? aws_kms_key.bucket[0].arn : var.kms_key_arn
}

resource "aws_s3_bucket" "fleet" {
  count = local.make_bucket ? 1 : 0

  bucket        = var.bucket_name == null ? "${var.name}-${local.account}-${local.region}" : var.bucket_name
  force_destroy = var.destroy_bucket
  tags          = local.tags
}

# Chunks never change, so old versions would be kept, and paid, for nothing.
resource "aws_s3_bucket_versioning" "fleet" {
  count = local.make_bucket ? 1 : 0

  bucket = aws_s3_bucket.fleet[0].id

  versioning_configuration {
    status = "Disabled"
  }
}

resource "aws_s3_bucket_ownership_controls" "fleet" {
  count = local.make_bucket ? 1 : 0

  bucket = aws_s3_bucket.fleet[0].id

  rule {
    object_ownership = "BucketOwnerEnforced"
  }
}

resource "aws_s3_bucket_public_access_block" "fleet" {
  count = local.make_bucket ? 1 : 0

  bucket                  = aws_s3_bucket.fleet[0].id
  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_server_side_encryption_configuration" "fleet" {
  count = local.make_bucket ? 1 : 0

  bucket = aws_s3_bucket.fleet[0].id

  rule {
    bucket_key_enabled = local.use_kms

    apply_server_side_encryption_by_default {
      sse_algorithm     = local.use_kms ? "aws:kms" : "AES256"
      kms_master_key_id = local.kms_key_arn
    }
  }
}

# No rule removes objects by their age: chunks are shared by checkpoints old and
# new. spotrelay removes what no run needs.
resource "aws_s3_bucket_lifecycle_configuration" "fleet" {
  count = local.make_bucket ? 1 : 0

  bucket = aws_s3_bucket.fleet[0].id

  rule {
    id     = "aborted-uploads"
    status = "Enabled"

    filter {}

    abort_incomplete_multipart_upload {
      days_after_initiation = var.aborted_upload_days
    }
  }
}

resource "aws_s3_bucket_policy" "fleet" {
  count = local.make_bucket ? 1 : 0

  bucket = aws_s3_bucket.fleet[0].id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid       = "TLSOnly"
      Effect    = "Deny"
      Principal = "*"
      Action    = "s3:*"
      Resource  = [local.bucket_arn, "${local.bucket_arn}/*"]
      Condition = { Bool = { "aws:SecureTransport" = "false" } }
    }]
  })

  depends_on = [aws_s3_bucket_public_access_block.fleet]
}

resource "aws_s3_bucket_logging" "fleet" {
  count = var.access_logs == null ? 0 : 1

  bucket        = aws_s3_bucket.fleet[0].id
  target_bucket = aws_s3_bucket.logs[0].id
  target_prefix = "access/"

  depends_on = [aws_s3_bucket_policy.logs]
}
