# What both sides, controller and instances, may do in the bucket: the four
# actions of docs/buckets.md, below the fleet's prefix alone.

locals {
  bucket_statements = concat(
    [
      {
        Sid      = "Objects"
        Effect   = "Allow"
        Action   = ["s3:GetObject", "s3:PutObject", "s3:DeleteObject"]
        Resource = "${local.bucket_arn}/${local.prefix}/*"
      },
      {
        Sid       = "Listing"
        Effect    = "Allow"
        Action    = ["s3:ListBucket"]
        Resource  = local.bucket_arn
        Condition = { StringLike = { "s3:prefix" = ["${local.prefix}/*"] } }
      },
    ],
    [
      for arn in local.use_kms ? [local.kms_key_arn] : [] : {
        Sid       = "Key"
        Effect    = "Allow"
        Action    = ["kms:GenerateDataKey", "kms:Decrypt"]
        Resource  = arn
        Condition = { StringEquals = { "kms:ViaService" = "s3.${local.region}.${data.aws_partition.current.dns_suffix}" } }
      }
    ],
  )
}
