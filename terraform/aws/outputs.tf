output "fleet_file" {
  description = "The fleet file's text, as it is written."
  value       = "${jsonencode(local.fleet)}\n"
}

output "fleet_file_path" {
  description = "Where the fleet file is; null where it is not written."
  value       = one(local_file.fleet[*].filename)
}

output "gang_fleet_file" {
  description = "The text of the fleet file for gangs; null without them."
  value       = one([for fleet in local.gang_fleets : "${jsonencode(fleet)}\n"])
}

output "bucket" {
  description = "Address of the fleet's part of the bucket, for --bucket and SPOTRELAY_BUCKET."
  value       = local.bucket_url
}

output "bucket_name" {
  description = "Name of the bucket, for the existing_bucket of another fleet."
  value       = local.bucket_name
}

output "kms_key_arn" {
  description = "Key of the bucket; null where it has none of its own."
  value       = local.kms_key_arn
}

output "controller_policy_arn" {
  description = "Policy for whoever runs spotrelay with this fleet: attach it to a role or a group of people."
  value       = aws_iam_policy.controller.arn
}

output "controller_role_arn" {
  description = "Role with that policy."
  value       = aws_iam_role.controller.arn
}

output "instance_role_name" {
  description = "Role of the instances: attach policies for what tasks need beside the bucket."
  value       = aws_iam_role.instances.name
}

output "instance_profile" {
  description = "Instance profile of the instances."
  value       = aws_iam_instance_profile.instances.name
}

output "vpc_id" {
  description = "VPC that instances are in."
  value       = local.vpc_id
}

output "subnet_ids" {
  description = "Subnets that instances are in."
  value       = local.subnet_ids
}

output "security_group_id" {
  description = "Security group of the instances, for what should let them in, such as a data base."
  value       = aws_security_group.instances.id
}

output "launch_template_id" {
  description = "Launch template that instances start from."
  value       = aws_launch_template.instances.id
}
