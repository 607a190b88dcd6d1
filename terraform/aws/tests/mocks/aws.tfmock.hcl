# What AWS would say of what is made, as far as the module looks at it.

mock_data "aws_caller_identity" {
  defaults = { account_id = "111122223333" }
}

mock_data "aws_partition" {
  defaults = { partition = "aws", dns_suffix = "amazonaws.com" }
}

mock_data "aws_region" {
  defaults = { region = "us-east-1" }
}

mock_data "aws_availability_zones" {
  defaults = { names = ["us-east-1b", "us-east-1a", "us-east-1c"] }
}

mock_data "aws_subnet" {
  defaults = { vpc_id = "vpc-0a1b2c3d4e5f60718", availability_zone = "us-east-1a" }
}

mock_data "aws_ssm_parameter" {
  defaults = { insecure_value = "ami-0a1b2c3d4e5f60718" }
}

mock_resource "aws_vpc" {
  defaults = { id = "vpc-0a1b2c3d4e5f60718" }
}

mock_resource "aws_subnet" {
  defaults = { id = "subnet-0a1b2c3d4e5f60718" }
}

mock_resource "aws_security_group" {
  defaults = { id = "sg-0a1b2c3d4e5f60718" }
}

mock_resource "aws_launch_template" {
  defaults = { id = "lt-0a1b2c3d4e5f60718", latest_version = 1 }
}

mock_resource "aws_iam_role" {
  defaults = { arn = "arn:aws:iam::111122223333:role/mock" }
}

mock_resource "aws_iam_policy" {
  defaults = { arn = "arn:aws:iam::111122223333:policy/mock" }
}

mock_resource "aws_iam_instance_profile" {
  defaults = { arn = "arn:aws:iam::111122223333:instance-profile/mock" }
}

mock_resource "aws_s3_bucket" {
  defaults = { arn = "arn:aws:s3:::mock" }
}

mock_resource "aws_kms_key" {
  defaults = { arn = "arn:aws:kms:us-east-1:111122223333:key/0a1b2c3d-0000-4000-8000-000000000000", key_id = "0a1b2c3d-0000-4000-8000-000000000000" }
}
