# What is refused before anything is made: one run for each validation at least,
# which a Go test counts.

mock_provider "aws" {
  source = "./tests/mocks"
}

mock_provider "local" {}

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
    name = "a-name-that-is-far-too-long-for-iam"
  }

  expect_failures = [var.name]
}

run "tags" {
  command = plan

  variables {
    tags = { spotrelay-run = "mine" }
  }

  expect_failures = [var.tags]
}

run "tags_2" {
  command = plan

  variables {
    tags = { relay-fleet = "another" }
  }

  expect_failures = [var.tags]
}

run "tags_3" {
  command = plan

  variables {
    tags = { "aws:x" = "y" }
  }

  expect_failures = [var.tags]
}

run "fleet_file" {
  command = plan

  variables {
    fleet_file = "fleet.yaml"
  }

  expect_failures = [var.fleet_file]
}

run "subnet_ids" {
  command = plan

  variables {
    subnet_ids = ["vpc-0a1b2c3d"]
  }

  expect_failures = [var.subnet_ids]
}

run "subnet_ids_2" {
  command = plan

  variables {
    subnet_ids = ["subnet-0a1b2c3d", "subnet-0a1b2c3d"]
  }

  expect_failures = [var.subnet_ids]
}

run "vpc_cidr" {
  command = plan

  variables {
    vpc_cidr = "10.0.0.0/8"
  }

  expect_failures = [var.vpc_cidr]
}

run "vpc_cidr_2" {
  command = plan

  variables {
    vpc_cidr = "10.0.0.0/24"
  }

  expect_failures = [var.vpc_cidr]
}

run "vpc_cidr_3" {
  command = plan

  variables {
    vpc_cidr = "ten"
  }

  expect_failures = [var.vpc_cidr]
}

run "zones" {
  command = plan

  variables {
    zones = ["us-east-1"]
  }

  expect_failures = [var.zones]
}

run "zones_2" {
  command = plan

  variables {
    zones = ["us-east-1a", "us-east-1a"]
  }

  expect_failures = [var.zones]
}

run "nat" {
  command = plan

  variables {
    private = true
    nat     = "two"
  }

  expect_failures = [var.nat]
}

run "nat_2" {
  command = plan

  variables {
    nat = "one"
  }

  expect_failures = [var.nat]
}

run "nat_3" {
  command = plan

  variables {
    private    = true
    nat        = "one"
    subnet_ids = ["subnet-0a1b2c3d"]
  }

  expect_failures = [var.nat]
}

run "gangs" {
  command = plan

  variables {
    gangs = { zone = "a" }
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
    prefix = "runs/"
  }

  expect_failures = [var.prefix]
}

run "prefix_3" {
  command = plan

  variables {
    prefix = "*"
  }

  expect_failures = [var.prefix]
}

run "aborted_upload_days" {
  command = plan

  variables {
    aborted_upload_days = 0
  }

  expect_failures = [var.aborted_upload_days]
}

run "access_logs" {
  command = plan

  variables {
    access_logs = { days = 0.5 }
  }

  expect_failures = [var.access_logs]
}

run "access_logs_2" {
  command = plan

  variables {
    access_logs     = {}
    existing_bucket = "acme-batch"
  }

  expect_failures = [var.access_logs]
}

run "create_kms_key" {
  command = plan

  variables {
    create_kms_key  = true
    existing_bucket = "acme-batch"
  }

  expect_failures = [var.create_kms_key]
}

run "kms_key_arn" {
  command = plan

  variables {
    kms_key_arn = "alias/batch"
  }

  expect_failures = [var.kms_key_arn]
}

run "kms_key_arn_2" {
  command = plan

  variables {
    kms_key_arn    = "arn:aws:kms:us-east-1:111122223333:key/0a1b2c3d"
    create_kms_key = true
  }

  expect_failures = [var.kms_key_arn]
}

run "image" {
  command = plan

  variables {
    image = " "
  }

  expect_failures = [var.image]
}

run "instance_types" {
  command = plan

  variables {
    instance_types = ["M5"]
  }

  expect_failures = [var.instance_types]
}

run "exclude_types" {
  command = plan

  variables {
    exclude_types = ["[a]"]
  }

  expect_failures = [var.exclude_types]
}

run "max_price" {
  command = plan

  variables {
    max_price = 0
  }

  expect_failures = [var.max_price]
}

run "max_instances" {
  command = plan

  variables {
    max_instances = 1.5
  }

  expect_failures = [var.max_instances]
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
    disk = { type = "ssd" }
  }

  expect_failures = [var.disk]
}

run "controller_principals" {
  command = plan

  variables {
    controller_principals = ["*"]
  }

  expect_failures = [var.controller_principals]
}

run "controller_principals_2" {
  command = plan

  variables {
    controller_principals = ["arn:aws:iam::111122223333:role/*"]
  }

  expect_failures = [var.controller_principals]
}

run "controller" {
  command = plan

  variables {
    controller = { program = "http://example.com/a.tar.gz", sha256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" }
  }

  expect_failures = [var.controller]
}

run "controller_2" {
  command = plan

  variables {
    controller = { program = "https://example.com/$(reboot)", sha256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" }
  }

  expect_failures = [var.controller]
}

run "controller_3" {
  command = plan

  variables {
    controller = { program = "https://example.com/a.tar.gz", sha256 = "abc" }
  }

  expect_failures = [var.controller]
}

run "controller_4" {
  command = plan

  variables {
    controller = { program = "https://example.com/a.tar.gz", sha256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", architecture = "arm" }
  }

  expect_failures = [var.controller]
}

run "controller_5" {
  command = plan

  variables {
    controller = { program = "https://example.com/a.tar.gz", sha256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", instance_type = "large" }
  }

  expect_failures = [var.controller]
}

run "controller_6" {
  command = plan

  variables {
    controller = { program = "https://example.com/a.tar.gz", sha256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", max_runs = -1 }
  }

  expect_failures = [var.controller]
}

run "controller_7" {
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
    budget = { dollars = 0, emails = ["batch@acme.example"] }
  }

  expect_failures = [var.budget]
}

run "budget_2" {
  command = plan

  variables {
    budget = { dollars = 5, emails = [] }
  }

  expect_failures = [var.budget]
}

run "budget_3" {
  command = plan

  variables {
    budget = { dollars = 5, emails = ["batch"] }
  }

  expect_failures = [var.budget]
}
