# What is refused before anything is made: one run for each validation at least,
# which a Go test counts.

mock_provider "google" {
  source = "./tests/mocks"
}

mock_provider "local" {}

variables {
  project = "acme-batch"
  region  = "us-central1"
}

run "project" {
  command = plan

  variables {
    project = "Acme Batch"
  }

  expect_failures = [var.project]
}

run "region" {
  command = plan

  variables {
    region = "us-central1-a"
  }

  expect_failures = [var.region]
}

run "name" {
  command = plan

  variables {
    name = "Team_A"
  }

  expect_failures = [var.name]
}

run "name_2" {
  command = plan

  variables {
    name = "a-name-too-long-for-it"
  }

  expect_failures = [var.name]
}

run "labels" {
  command = plan

  variables {
    labels = { Team = "a" }
  }

  expect_failures = [var.labels]
}

run "labels_2" {
  command = plan

  variables {
    labels = { team = "A" }
  }

  expect_failures = [var.labels]
}

run "fleet_file" {
  command = plan

  variables {
    fleet_file = "fleet.yaml"
  }

  expect_failures = [var.fleet_file]
}

run "subnetwork" {
  command = plan

  variables {
    subnetwork = "batch"
  }

  expect_failures = [var.subnetwork]
}

run "subnetwork_2" {
  command = plan

  variables {
    subnetwork = "projects/acme-batch/regions/europe-west1/subnetworks/batch"
  }

  expect_failures = [var.subnetwork]
}

run "cidr" {
  command = plan

  variables {
    cidr = "10.0.0.0/28"
  }

  expect_failures = [var.cidr]
}

run "cidr_2" {
  command = plan

  variables {
    cidr = "ten"
  }

  expect_failures = [var.cidr]
}

run "zones" {
  command = plan

  variables {
    zones = ["europe-west1-b"]
  }

  expect_failures = [var.zones]
}

run "zones_2" {
  command = plan

  variables {
    zones = ["us-central1-a", "us-central1-a"]
  }

  expect_failures = [var.zones]
}

run "nat" {
  command = plan

  variables {
    nat = true
  }

  expect_failures = [var.nat]
}

run "nat_2" {
  command = plan

  variables {
    private    = true
    nat        = true
    subnetwork = "projects/acme-batch/regions/us-central1/subnetworks/batch"
  }

  expect_failures = [var.nat]
}

run "gangs" {
  command = plan

  variables {
    gangs = { zone = "europe-west1-b" }
  }

  expect_failures = [var.gangs]
}

run "gangs_2" {
  command = plan

  variables {
    zones = ["us-central1-a"]
    gangs = { zone = "us-central1-b" }
  }

  expect_failures = [var.gangs]
}

run "gangs_3" {
  command = plan

  variables {
    gangs      = { zone = "us-central1-b" }
    subnetwork = "projects/acme-batch/regions/us-central1/subnetworks/batch"
  }

  expect_failures = [var.gangs]
}

run "bucket_name" {
  command = plan

  variables {
    bucket_name = "Acme"
  }

  expect_failures = [var.bucket_name]
}

run "existing_bucket" {
  command = plan

  variables {
    existing_bucket = "a"
  }

  expect_failures = [var.existing_bucket]
}

run "existing_bucket_2" {
  command = plan

  variables {
    existing_bucket = "acme-batch"
    bucket_name     = "acme-batch"
  }

  expect_failures = [var.existing_bucket]
}

run "prefix" {
  command = plan

  variables {
    prefix = "/runs"
  }

  expect_failures = [var.prefix]
}

run "prefix_2" {
  command = plan

  variables {
    prefix = "a\") || true || (\""
  }

  expect_failures = [var.prefix]
}

run "aborted_upload_days" {
  command = plan

  variables {
    aborted_upload_days = 1.5
  }

  expect_failures = [var.aborted_upload_days]
}

run "kms_key" {
  command = plan

  variables {
    kms_key = "bucket"
  }

  expect_failures = [var.kms_key]
}

run "kms_key_2" {
  command = plan

  variables {
    kms_key        = "projects/acme-batch/locations/us-central1/keyRings/batch/cryptoKeys/bucket"
    create_kms_key = true
  }

  expect_failures = [var.kms_key]
}

run "image" {
  command = plan

  variables {
    image = "projects/acme/image"
  }

  expect_failures = [var.image]
}

run "image_arm64" {
  command = plan

  variables {
    image_arm64 = "Debian 12"
  }

  expect_failures = [var.image_arm64]
}

run "machine_types" {
  command = plan

  variables {
    machine_types = ["N2"]
  }

  expect_failures = [var.machine_types]
}

run "exclude_machine_types" {
  command = plan

  variables {
    exclude_machine_types = [""]
  }

  expect_failures = [var.exclude_machine_types]
}

run "disk" {
  command = plan

  variables {
    disk = { size = "100" }
  }

  expect_failures = [var.disk]
}

run "disk_2" {
  command = plan

  variables {
    disk = { type = "gp3" }
  }

  expect_failures = [var.disk]
}

run "preemption_notice" {
  command = plan

  variables {
    preemption_notice = "60s"
  }

  expect_failures = [var.preemption_notice]
}

run "controller_members" {
  command = plan

  variables {
    controller_members = ["allUsers"]
  }

  expect_failures = [var.controller_members]
}

run "controller_members_2" {
  command = plan

  variables {
    controller_members = ["group:batch"]
  }

  expect_failures = [var.controller_members]
}

run "controller" {
  command = plan

  variables {
    controller = { program = "s3://acme/a.tar.gz", sha256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" }
  }

  expect_failures = [var.controller]
}

run "controller_2" {
  command = plan

  variables {
    controller = { program = "https://example.com/a.tar.gz", sha256 = "abc" }
  }

  expect_failures = [var.controller]
}

run "controller_3" {
  command = plan

  variables {
    controller = { program = "https://example.com/a.tar.gz", sha256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", machine_type = "E2" }
  }

  expect_failures = [var.controller]
}

run "controller_4" {
  command = plan

  variables {
    controller = { program = "https://example.com/a.tar.gz", sha256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", max_runs = 0.5 }
  }

  expect_failures = [var.controller]
}

run "controller_5" {
  command = plan

  variables {
    private    = true
    controller = { program = "https://example.com/a.tar.gz", sha256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" }
  }

  expect_failures = [var.controller]
}

run "budget" {
  command = plan

  variables {
    budget = { billing_account = "abc", amount = 5, emails = ["batch@acme.example"] }
  }

  expect_failures = [var.budget]
}

run "budget_2" {
  command = plan

  variables {
    budget = { billing_account = "000000-0A1B2C-3D4E5F", amount = 0.5, emails = ["batch@acme.example"] }
  }

  expect_failures = [var.budget]
}

run "budget_3" {
  command = plan

  variables {
    budget = { billing_account = "000000-0A1B2C-3D4E5F", amount = 5, emails = [] }
  }

  expect_failures = [var.budget]
}
