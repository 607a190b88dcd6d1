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

output "kms_key" {
  description = "Key of the bucket; null where it has none of its own."
  value       = local.kms_key
}

output "instances_service_account" {
  description = "Service account of the instances: grant it what tasks need beside the bucket."
  value       = google_service_account.instances.email
}

output "controller_service_account" {
  description = "Service account that may run spotrelay with this fleet."
  value       = google_service_account.controller.email
}

output "network" {
  description = "Network that was made; null where there was one."
  value       = one(google_compute_network.fleet[*].id)
}

output "subnetwork" {
  description = "Subnetwork that instances are in."
  value       = local.subnetwork
}
