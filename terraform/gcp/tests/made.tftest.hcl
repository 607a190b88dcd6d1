# What is made, by what is asked for.

mock_provider "google" {
  source = "./tests/mocks"
}

mock_provider "local" {}

variables {
  project = "acme-batch"
  region  = "us-central1"
}

run "defaults" {
  assert {
    condition     = length(google_compute_network.fleet) == 1 && google_compute_subnetwork.fleet[0].private_ip_google_access
    error_message = "There is a network, from which Google's APIs are reached without an external address too."
  }

  assert {
    condition     = length(google_compute_firewall.gangs) == 0
    error_message = "Nothing is let in."
  }

  assert {
    condition     = length(google_compute_router_nat.nat) + length(google_kms_crypto_key.bucket) + length(google_compute_region_instance_group_manager.controller) + length(google_billing_budget.fleet) == 0
    error_message = "Nothing costs anything but the bucket."
  }

  assert {
    condition     = google_storage_bucket.fleet[0].name == "spotrelay-acme-batch" && google_storage_bucket.fleet[0].uniform_bucket_level_access && google_storage_bucket.fleet[0].public_access_prevention == "enforced" && !google_storage_bucket.fleet[0].force_destroy
    error_message = "The bucket is nobody else's, and not removed with what is in it."
  }

  assert {
    condition     = jsondecode(output.fleet_file).version == 1 && jsondecode(output.fleet_file).provider == "gcp" && jsondecode(output.fleet_file).bucket == "gs://spotrelay-acme-batch/spotrelay"
    error_message = "The fleet file says what it is."
  }

  assert {
    condition     = jsondecode(output.fleet_file).config.external_ip && contains(google_project_iam_custom_role.network.permissions, "compute.subnetworks.useExternalIp")
    error_message = "Instances have external addresses, and the controller may give them."
  }

  assert {
    condition     = local_file.fleet[0].content == output.fleet_file && endswith(local_file.fleet[0].filename, "/spotrelay.json")
    error_message = "The fleet file is written."
  }

  assert {
    condition     = length(google_project_service.apis) == 3 && alltrue([for api in google_project_service.apis : !api.disable_on_destroy])
    error_message = "The APIs are enabled, and stay so."
  }

  assert {
    condition     = output.gang_fleet_file == null && output.kms_key == null
    error_message = "There is no more than was asked for."
  }
}

run "private" {
  variables {
    private = true
  }

  assert {
    condition     = !jsondecode(output.fleet_file).config.external_ip && !contains(google_project_iam_custom_role.network.permissions, "compute.subnetworks.useExternalIp")
    error_message = "Instances have no external addresses, and the controller may give none."
  }

  assert {
    condition     = length(google_compute_router_nat.nat) == 0
    error_message = "Nothing costs anything but the bucket."
  }
}

run "nat" {
  variables {
    private = true
    nat     = true
  }

  assert {
    condition     = length(google_compute_router_nat.nat) == 1
    error_message = "There is a way out."
  }
}

run "existing_subnetwork" {
  variables {
    subnetwork = "projects/acme-net/regions/us-central1/subnetworks/batch"
  }

  assert {
    condition     = length(google_compute_network.fleet) + length(google_compute_subnetwork.fleet) == 0
    error_message = "No network is made."
  }

  assert {
    condition     = jsondecode(output.fleet_file).config.subnetwork == "projects/acme-net/regions/us-central1/subnetworks/batch"
    error_message = "The fleet rents in it."
  }

  assert {
    condition     = google_compute_subnetwork_iam_member.network["controller"].project == "acme-net" && google_compute_subnetwork_iam_member.network["controller"].subnetwork == "batch" && google_compute_subnetwork_iam_member.network["controller"].role == "roles/compute.networkUser"
    error_message = "The controller may use it, in its own project, where the fleet's roles are not known."
  }
}

run "gangs" {
  variables {
    gangs = { zone = "us-central1-b" }
  }

  assert {
    condition     = google_compute_firewall.gangs[0].source_tags == google_compute_firewall.gangs[0].target_tags && length(google_compute_firewall.gangs[0].source_tags) == 1
    error_message = "Gangs let each other in, and nobody else."
  }

  assert {
    condition     = jsondecode(output.gang_fleet_file).config.zones == ["us-central1-b"] && jsondecode(output.gang_fleet_file).config.network_tags == ["spotrelay-gang"]
    error_message = "Gangs have a fleet file of their own, of one zone."
  }
}

run "controller" {
  variables {
    controller = {
      program  = "gs://spotrelay-acme-batch/spotrelay/programs/spotrelay.tar.gz"
      sha256   = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
      max_runs = 20
    }
  }

  assert {
    condition     = google_compute_region_instance_group_manager.controller[0].target_size == 1
    error_message = "The controller is one."
  }

  assert {
    condition     = one(google_compute_instance_template.controller[0].scheduling).provisioning_model == "STANDARD"
    error_message = "The controller is on-demand."
  }

  assert {
    condition     = strcontains(google_compute_instance_template.controller[0].metadata["startup-script"], "serve --max-runs 20")
    error_message = "It serves the bucket."
  }
}

run "bucket_with_key_and_alarm" {
  variables {
    name           = "team-a"
    bucket_name    = "acme-runs"
    prefix         = "runs/team-a"
    create_kms_key = true
    budget         = { billing_account = "000000-0A1B2C-3D4E5F", amount = 500, emails = ["batch@acme.example"] }
  }

  assert {
    condition     = one(google_storage_bucket.fleet[0].encryption).default_kms_key_name == google_kms_crypto_key.bucket[0].id
    error_message = "The bucket has a key of its own."
  }

  assert {
    condition     = output.bucket == "gs://acme-runs/runs/team-a"
    error_message = "The prefix is the fleet's."
  }

  assert {
    condition     = length(google_project_service.apis) == 6 && one(one(google_billing_budget.fleet[0].amount).specified_amount).units == "500" && length(google_monitoring_notification_channel.budget) == 1
    error_message = "There is an alarm."
  }

  assert {
    condition     = google_project_iam_custom_role.look.role_id == "team_a_look"
    error_message = "Roles are named as Google allows it."
  }
}

run "existing_bucket" {
  variables {
    existing_bucket          = "acme-batch-data"
    controller_members       = ["group:batch@acme.example"]
    instances_end_themselves = false
    name_condition           = false
    enable_apis              = false
  }

  assert {
    condition     = length(google_storage_bucket.fleet) == 0 && length(google_project_service.apis) == 0
    error_message = "What is there is left as it is."
  }

  assert {
    condition     = length(google_storage_bucket_iam_member.bucket) == 3 && google_project_iam_member.rent["group:batch@acme.example"].member == "group:batch@acme.example"
    error_message = "The members may do what the controller may."
  }

  assert {
    condition     = length(google_project_iam_custom_role.leave) + length(google_project_iam_member.leave) == 0 && length(google_project_iam_member.rent["controller"].condition) == 0
    error_message = "Roles are as was asked for."
  }
}

run "settings_of_the_fleet" {
  variables {
    zones                 = ["us-central1-a", "us-central1-b"]
    image                 = "debian-12"
    machine_types         = ["n2-*", "c3-standard-[48]"]
    exclude_machine_types = ["e2-*"]
    disk                  = { size = "100GiB", type = "pd-ssd" }
    preemption_notice     = "120s"
    write_fleet_file      = false
  }

  assert {
    condition     = jsondecode(output.fleet_file).config.zones == ["us-central1-a", "us-central1-b"] && jsondecode(output.fleet_file).config.disk_size == "100GiB" && jsondecode(output.fleet_file).config.disk_type == "pd-ssd"
    error_message = "The fleet file has what was set."
  }

  assert {
    condition     = length(local_file.fleet) == 0 && output.fleet_file_path == null
    error_message = "Nothing is written."
  }
}
