# What the controller may do: exactly the calls that the provider makes, which a
# test compares (terraform/terraformtest), and each as narrowly as IAM can say
# it. The shape of the launching statements is that of Karpenter's controller
# policy, which makes the same calls.

locals {
  ours      = { "aws:ResourceTag/${local.fleet_tag}" = var.name }
  marked    = { "aws:RequestTag/${local.fleet_tag}" = var.name }
  bucket_id = "spotrelay-bucket" # the tag with the id of the bucket, on all that spotrelay makes

  # What a launch makes; it bears the tags from its creation.
  made = [for kind in ["fleet", "instance", "volume", "launch-template", "spot-instances-request"] : "${local.ec2_arn}:${kind}/*"]

  # What a launch is made of.
  launch_from = concat(
    [
      "${local.arn_prefix}:ec2:${local.region}:*:image/*",
      "${local.arn_prefix}:ec2:${local.region}:*:snapshot/*",
      "${local.ec2_arn}:network-interface/*",
      "${local.ec2_arn}:security-group/${aws_security_group.instances.id}",
    ],
    [for id in local.subnet_ids : "${local.ec2_arn}:subnet/${id}"],
    [for group in aws_security_group.gangs : "${local.ec2_arn}:security-group/${group.id}"],
    [for group in aws_placement_group.gangs : "${local.ec2_arn}:placement-group/${group.name}"],
  )

  controller_statements = concat(
    [
      {
        Sid    = "Look"
        Effect = "Allow"
        Action = [
          "ec2:DescribeImages",
          "ec2:DescribeInstanceTypeOfferings",
          "ec2:DescribeInstanceTypes",
          "ec2:DescribeInstances",
          "ec2:DescribeKeyPairs",
          "ec2:DescribeLaunchTemplateVersions",
          "ec2:DescribeLaunchTemplates",
          "ec2:DescribeSecurityGroups",
          "ec2:DescribeSpotInstanceRequests",
          "ec2:DescribeSpotPriceHistory",
          "ec2:DescribeSubnets",
          "servicequotas:ListServiceQuotas",
        ]
        Resource  = "*"
        Condition = { StringEquals = { "aws:RequestedRegion" = local.region } }
      },
      {
        Sid      = "LookUpPrices"
        Effect   = "Allow"
        Action   = ["pricing:GetProducts"]
        Resource = "*"
      },
      {
        Sid      = "LookUpImages"
        Effect   = "Allow"
        Action   = ["ssm:GetParameters"]
        Resource = "${local.arn_prefix}:ssm:${local.region}::parameter/aws/service/*"
      },
      {
        Sid      = "LaunchFrom"
        Effect   = "Allow"
        Action   = ["ec2:CreateFleet", "ec2:RunInstances"]
        Resource = local.launch_from
      },
      {
        Sid       = "LaunchFromTemplate"
        Effect    = "Allow"
        Action    = ["ec2:CreateFleet", "ec2:RunInstances"]
        Resource  = "${local.ec2_arn}:launch-template/*"
        Condition = { StringEquals = local.ours }
      },
      {
        Sid      = "LaunchMarked"
        Effect   = "Allow"
        Action   = ["ec2:CreateFleet", "ec2:CreateLaunchTemplate", "ec2:RunInstances"]
        Resource = local.made
        Condition = {
          StringEquals = local.marked
          Null         = { "aws:RequestTag/${local.bucket_id}" = "false" }
        }
      },
      {
        Sid      = "MarkWhatIsMade"
        Effect   = "Allow"
        Action   = ["ec2:CreateTags"]
        Resource = local.made
        Condition = {
          StringEquals = merge(local.marked, { "ec2:CreateAction" = ["CreateFleet", "CreateLaunchTemplate", "RunInstances"] })
        }
      },
      {
        Sid      = "OnlyOurs"
        Effect   = "Allow"
        Action   = ["ec2:DeleteLaunchTemplate", "ec2:GetConsoleOutput", "ec2:TerminateInstances"]
        Resource = ["${local.ec2_arn}:instance/*", "${local.ec2_arn}:launch-template/*"]
        Condition = {
          StringEquals = local.ours
          Null         = { "aws:ResourceTag/${local.bucket_id}" = "false" }
        }
      },
      {
        Sid       = "HandTheRoleOver"
        Effect    = "Allow"
        Action    = ["iam:PassRole"]
        Resource  = aws_iam_role.instances.arn
        Condition = { StringEquals = { "iam:PassedToService" = "ec2.${data.aws_partition.current.dns_suffix}" } }
      },
      {
        Sid    = "FirstSpotInstanceOfTheAccount"
        Effect = "Allow"
        Action = ["iam:CreateServiceLinkedRole"]
        Resource = [
          "${local.arn_prefix}:iam::${local.account}:role/aws-service-role/spot.amazonaws.com/AWSServiceRoleForEC2Spot",
          "${local.arn_prefix}:iam::${local.account}:role/aws-service-role/ec2fleet.amazonaws.com/AWSServiceRoleForEC2Fleet",
        ]
        Condition = { StringEquals = { "iam:AWSServiceName" = ["ec2fleet.amazonaws.com", "spot.amazonaws.com"] } }
      },
    ],
    local.bucket_statements,
  )
}

resource "aws_iam_policy" "controller" {
  name        = "${var.name}-controller"
  description = "For whoever runs spotrelay with the fleet ${var.name}"
  tags        = local.tags

  policy = jsonencode({
    Version   = "2012-10-17"
    Statement = local.controller_statements
  })
}

# The controller's role: of the controller VM, and of whoever may take it up.
resource "aws_iam_role" "controller" {
  name        = "${var.name}-controller"
  description = "Controller of the spotrelay fleet ${var.name}"
  tags        = local.tags

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = concat(
      [{
        Effect    = "Allow"
        Action    = "sts:AssumeRole"
        Principal = { AWS = length(var.controller_principals) > 0 ? var.controller_principals : ["${local.arn_prefix}:iam::${local.account}:root"] }
      }],
      [for controller in var.controller == null ? [] : [var.controller] : {
        Effect    = "Allow"
        Action    = "sts:AssumeRole"
        Principal = { Service = "ec2.${data.aws_partition.current.dns_suffix}" }
      }],
    )
  })
}

resource "aws_iam_role_policy_attachment" "controller" {
  role       = aws_iam_role.controller.name
  policy_arn = aws_iam_policy.controller.arn
}
