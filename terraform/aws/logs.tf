# The bucket for S3's log of requests, where it is wanted. It empties itself.

resource "aws_s3_bucket" "logs" {
  count = var.access_logs == null ? 0 : 1

  bucket        = "${aws_s3_bucket.fleet[0].bucket}-logs"
  force_destroy = var.destroy_bucket
  tags          = local.tags
}

resource "aws_s3_bucket_ownership_controls" "logs" {
  count = var.access_logs == null ? 0 : 1

  bucket = aws_s3_bucket.logs[0].id

  rule {
    object_ownership = "BucketOwnerEnforced"
  }
}

resource "aws_s3_bucket_public_access_block" "logs" {
  count = var.access_logs == null ? 0 : 1

  bucket                  = aws_s3_bucket.logs[0].id
  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

# S3 delivers to buckets with its own keys alone.
resource "aws_s3_bucket_server_side_encryption_configuration" "logs" {
  count = var.access_logs == null ? 0 : 1

  bucket = aws_s3_bucket.logs[0].id

  rule {
    apply_server_side_encryption_by_default {
      sse_algorithm = "AES256"
    }
  }
}

resource "aws_s3_bucket_lifecycle_configuration" "logs" {
  count = var.access_logs == null ? 0 : 1

  bucket = aws_s3_bucket.logs[0].id

  rule {
    id     = "expire"
    status = "Enabled"

    filter {}

    expiration {
      days = var.access_logs.days
    }

    abort_incomplete_multipart_upload {
      days_after_initiation = var.aborted_upload_days
    }
  }
}

resource "aws_s3_bucket_policy" "logs" {
  count = var.access_logs == null ? 0 : 1

  bucket = aws_s3_bucket.logs[0].id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid       = "TLSOnly"
        Effect    = "Deny"
        Principal = "*"
        Action    = "s3:*"
        Resource  = [aws_s3_bucket.logs[0].arn, "${aws_s3_bucket.logs[0].arn}/*"]
        Condition = { Bool = { "aws:SecureTransport" = "false" } }
      },
      {
        Sid       = "Deliver"
        Effect    = "Allow"
        Principal = { Service = "logging.s3.amazonaws.com" }
        Action    = "s3:PutObject"
        Resource  = "${aws_s3_bucket.logs[0].arn}/access/*"
        Condition = {
          ArnLike      = { "aws:SourceArn" = local.bucket_arn }
          StringEquals = { "aws:SourceAccount" = local.account }
        }
      },
    ]
  })

  depends_on = [aws_s3_bucket_public_access_block.logs]
}
