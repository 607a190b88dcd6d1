# What is made, by what is asked for.

mock_provider "aws" {
  source = "./tests/mocks"
}

mock_provider "local" {}

run "defaults" {
  assert {
    condition     = length(aws_subnet.instances) == 3 && aws_subnet.instances["us-east-1b"].cidr_block == "10.64.16.0/20"
    error_message = "Each zone has a subnet, in the order of their names."
  }

  assert {
    condition     = alltrue([for subnet in aws_subnet.instances : subnet.map_public_ip_on_launch])
    error_message = "Instances have public addresses, which cost nothing while there are none."
  }

  assert {
    condition     = length(aws_vpc_endpoint.s3) == 1 && length(aws_route.internet) == 1
    error_message = "The way out is there, and one to S3 of its own."
  }

  assert {
    condition     = length(aws_nat_gateway.fleet) + length(aws_eip.nat) + length(aws_kms_key.bucket) + length(aws_autoscaling_group.controller) + length(aws_budgets_budget.fleet) + length(aws_s3_bucket.logs) == 0
    error_message = "Nothing costs anything but the bucket."
  }

  assert {
    condition     = length(aws_vpc_security_group_ingress_rule.gangs) == 0
    error_message = "Nothing is let in."
  }

  assert {
    condition     = aws_s3_bucket.fleet[0].bucket == "spotrelay-111122223333-us-east-1" && !aws_s3_bucket.fleet[0].force_destroy
    error_message = "The bucket is named by account and region, and not removed with what is in it."
  }

  assert {
    condition     = one(one(aws_s3_bucket_server_side_encryption_configuration.fleet[0].rule).apply_server_side_encryption_by_default).sse_algorithm == "AES256"
    error_message = "The bucket is encrypted."
  }

  assert {
    condition     = jsondecode(output.fleet_file).version == 1 && jsondecode(output.fleet_file).provider == "aws" && jsondecode(output.fleet_file).bucket == "s3://spotrelay-111122223333-us-east-1/spotrelay?region=us-east-1"
    error_message = "The fleet file says what it is."
  }

  assert {
    condition     = local_file.fleet[0].content == output.fleet_file && endswith(local_file.fleet[0].filename, "/spotrelay.json")
    error_message = "The fleet file is written."
  }

  assert {
    condition     = output.gang_fleet_file == null && output.kms_key_arn == null
    error_message = "There is no more than was asked for."
  }
}

run "private" {
  variables {
    private = true
  }

  assert {
    condition     = length(aws_internet_gateway.fleet) == 0 && length(aws_route.internet) == 0 && length(aws_nat_gateway.fleet) == 0
    error_message = "S3 is the only way out, and costs nothing."
  }

  assert {
    condition     = alltrue([for subnet in aws_subnet.instances : !subnet.map_public_ip_on_launch])
    error_message = "No instance has a public address."
  }
}

run "one_nat" {
  variables {
    private = true
    nat     = "one"
  }

  assert {
    condition     = length(aws_nat_gateway.fleet) == 1 && length(aws_route_table.instances) == 1 && length(aws_route.instances_nat) == 1
    error_message = "One gateway serves all zones."
  }
}

run "nat_in_each_zone" {
  variables {
    private = true
    nat     = "zone"
  }

  assert {
    condition     = length(aws_nat_gateway.fleet) == 3 && length(aws_route_table.instances) == 3 && length(aws_route.instances_nat) == 3
    error_message = "Each zone has a gateway."
  }

  assert {
    condition     = length(setintersection([for subnet in aws_subnet.nat : subnet.cidr_block], [for subnet in aws_subnet.instances : subnet.cidr_block])) == 0
    error_message = "The subnets do not overlap."
  }
}

run "existing_subnets" {
  variables {
    subnet_ids = ["subnet-0a1b2c3d", "subnet-4e5f6a7b"]
  }

  assert {
    condition     = length(aws_vpc.fleet) + length(aws_subnet.instances) + length(aws_vpc_endpoint.s3) + length(aws_route_table.instances) + length(aws_internet_gateway.fleet) == 0
    error_message = "No network is made."
  }

  assert {
    condition     = jsondecode(output.fleet_file).config.subnets == ["subnet-0a1b2c3d", "subnet-4e5f6a7b"] && output.vpc_id == "vpc-0a1b2c3d4e5f60718"
    error_message = "The fleet rents in them."
  }

  assert {
    condition     = aws_security_group.instances.vpc_id == "vpc-0a1b2c3d4e5f60718"
    error_message = "The group is in their VPC."
  }
}

run "gangs" {
  variables {
    gangs = { zone = "us-east-1b" }
  }

  assert {
    condition     = aws_vpc_security_group_ingress_rule.gangs[0].referenced_security_group_id == aws_vpc_security_group_ingress_rule.gangs[0].security_group_id
    error_message = "Gangs let each other in, and nobody else."
  }

  assert {
    condition     = aws_placement_group.gangs[0].strategy == "cluster" && one(aws_launch_template.gangs[0].placement).group_name == aws_placement_group.gangs[0].name
    error_message = "Gangs are close together."
  }

  assert {
    condition     = length(jsondecode(output.gang_fleet_file).config.subnets) == 1 && length(jsondecode(output.gang_fleet_file).config.security_groups) == 2
    error_message = "Gangs have a fleet file of their own, of one zone."
  }

  assert {
    condition     = endswith(local_file.gang_fleet[0].filename, "/spotrelay-gang.json")
    error_message = "It is beside the other one."
  }
}

run "gangs_where_there_is_no_subnet" {
  command = plan

  variables {
    zones = ["us-east-1a"]
    gangs = { zone = "us-east-1b" }
  }

  expect_failures = [aws_launch_template.gangs]
}

run "controller" {
  variables {
    controller = {
      program  = "https://example.com/spotrelay.tar.gz"
      sha256   = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
      max_runs = 20
    }
  }

  assert {
    condition     = aws_autoscaling_group.controller[0].min_size == 1 && aws_autoscaling_group.controller[0].max_size == 1
    error_message = "The controller is one."
  }

  assert {
    condition     = one(aws_launch_template.controller[0].metadata_options).http_tokens == "required"
    error_message = "The controller is on-demand, with IMDSv2."
  }

  assert {
    condition     = strcontains(base64decode(aws_launch_template.controller[0].user_data), "serve --max-runs 20") && length(base64decode(aws_launch_template.controller[0].user_data)) < 16384
    error_message = "It serves the bucket, and its user data fits."
  }
}

run "bucket_with_key_logs_and_alarm" {
  variables {
    name           = "team-a"
    bucket_name    = "acme-batch"
    prefix         = "runs/team-a"
    create_kms_key = true
    access_logs    = {}
    budget         = { dollars = 500, emails = ["batch@acme.example"] }
  }

  assert {
    condition     = one(one(aws_s3_bucket_server_side_encryption_configuration.fleet[0].rule).apply_server_side_encryption_by_default).kms_master_key_id == aws_kms_key.bucket[0].arn && aws_kms_key.bucket[0].enable_key_rotation
    error_message = "The bucket has a key of its own, which rotates."
  }

  assert {
    condition     = one(one(aws_s3_bucket_lifecycle_configuration.logs[0].rule).expiration).days == 90 && aws_s3_bucket.logs[0].bucket == "acme-batch-logs"
    error_message = "Logs of access expire."
  }

  assert {
    condition     = output.bucket == "s3://acme-batch/runs/team-a?region=us-east-1"
    error_message = "The prefix is the fleet's."
  }

  assert {
    condition     = aws_budgets_budget.fleet[0].limit_amount == "500" && contains(one(aws_budgets_budget.fleet[0].cost_filter).values, "user:relay-fleet$team-a")
    error_message = "The alarm counts what the fleet costs."
  }
}

run "existing_bucket" {
  variables {
    existing_bucket = "acme-batch"
    kms_key_arn     = "arn:aws:kms:us-east-1:111122223333:key/0a1b2c3d-0000-4000-8000-000000000000"
  }

  assert {
    condition     = length(aws_s3_bucket.fleet) + length(aws_s3_bucket_policy.fleet) + length(aws_s3_bucket_lifecycle_configuration.fleet) == 0
    error_message = "The bucket is left as it is."
  }

  assert {
    condition     = strcontains(aws_iam_role_policy.instances.policy, "arn:aws:s3:::acme-batch/spotrelay/*") && strcontains(aws_iam_role_policy.instances.policy, "kms:GenerateDataKey")
    error_message = "Instances may use the fleet's prefix of it, and its key."
  }
}

run "settings_of_the_fleet" {
  variables {
    image            = "debian-12"
    instance_types   = ["m7i.*", "c7*.large"]
    exclude_types    = ["*.metal*"]
    max_price        = 0.5
    max_instances    = 100
    disk             = { size = "100GiB", encrypted = false }
    tags             = { cost-centre = "research" }
    write_fleet_file = false
  }

  assert {
    condition     = jsondecode(output.fleet_file).config.tags == { cost-centre = "research", relay-fleet = "spotrelay" } && jsondecode(output.fleet_file).config.disk == { size = "100GiB", type = "gp3", encrypted = false }
    error_message = "The fleet file has what was set."
  }

  assert {
    condition     = jsondecode(output.fleet_file).config.image == "debian-12" && jsondecode(output.fleet_file).config.max_price == 0.5 && jsondecode(output.fleet_file).config.max_instances == 100
    error_message = "The fleet file has what was set."
  }

  assert {
    condition     = length(local_file.fleet) == 0 && output.fleet_file_path == null
    error_message = "Nothing is written."
  }
}
