# A key of the bucket's own, where it is wanted.

locals {
  use_kms = var.create_kms_key || var.kms_key_arn != null
}

resource "aws_kms_key" "bucket" {
  count = var.create_kms_key ? 1 : 0

  description             = "Bucket of the spotrelay fleet ${var.name}"
  enable_key_rotation     = true
  deletion_window_in_days = 30
  tags                    = local.tags

  # IAM policies decide, as for the default key policy.
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid       = "Account"
      Effect    = "Allow"
      Principal = { AWS = "${local.arn_prefix}:iam::${local.account}:root" }
      Action    = "kms:*"
      Resource  = "*"
    }]
  })
}

resource "aws_kms_alias" "bucket" {
  count = var.create_kms_key ? 1 : 0

  name          = "alias/${var.name}-bucket"
  target_key_id = aws_kms_key.bucket[0].key_id
}
