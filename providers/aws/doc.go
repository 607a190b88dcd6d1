// Package aws is the provider that rents EC2 instances: spot and on-demand, by
// CreateFleet of type instant over many pools at once.
//
// # What it asks of AWS
//
// Every call is made with the SDK's own retries off, behind a rate limit per
// API (limits.go), and repeated by this package alone. The policy that allows
// all of it is in docs/aws.md.
//
//	ec2:DescribeInstanceTypes          Filters: instance-type (globs of the fleet), MaxResults 100, NextToken
//	ec2:DescribeInstanceTypeOfferings  LocationType availability-zone; Filters: location, instance-type; MaxResults 1000, NextToken
//	ec2:DescribeSpotPriceHistory       ProductDescriptions Linux/UNIX; StartTime now; Filters: availability-zone, instance-type; MaxResults 1000, NextToken
//	ec2:DescribeSubnets                SubnetIds, or Filters: default-for-az=true, state=available; NextToken
//	ec2:DescribeSecurityGroups         GroupIds (Check)
//	ec2:DescribeImages                 ImageIds, or Owners self + Filters: name, state=available; NextToken
//	ec2:DescribeKeyPairs               KeyNames (Check)
//	ec2:DescribeLaunchTemplateVersions LaunchTemplateId or LaunchTemplateName, Versions (one), of a template given by the fleet
//	ec2:CreateLaunchTemplate           LaunchTemplateName spotrelay-<digest>, LaunchTemplateData, TagSpecifications (launch-template), ClientToken; DryRun (Check)
//	ec2:DescribeLaunchTemplates        Filters: tag:spotrelay-bucket; MaxResults 200, NextToken (removal of old ones)
//	ec2:DeleteLaunchTemplate           LaunchTemplateName
//	ec2:CreateFleet                    Type instant, ClientToken, LaunchTemplateConfigs (LaunchTemplateName, Version "1"; Overrides: InstanceType, SubnetId,
//	                                   MaxPrice if the fleet has one, Priority), SpotOptions or OnDemandOptions (AllocationStrategy),
//	                                   TargetCapacitySpecification, TagSpecifications (fleet, instance, volume)
//	ec2:RunInstances                   DryRun true alone (Check)
//	ec2:DescribeInstances              Filters: tag:<key>, or instance-id (at most 200); MaxResults 1000, NextToken
//	ec2:DescribeSpotInstanceRequests   Filters: instance-id (at most 200); MaxResults 1000, NextToken
//	ec2:TerminateInstances             InstanceIds (at most 1000)
//	ec2:GetConsoleOutput               InstanceId, Latest true, and without Latest where the type does not know it
//	ssm:GetParameters                  Names (the image's public parameter of each architecture)
//	sts:GetCallerIdentity              (Check); sts:AssumeRole where the fleet names a role
//	pricing:GetProducts                ServiceCode AmazonEC2, FormatVersion aws_v1, Filters TERM_MATCH: regionCode, operatingSystem Linux, tenancy Shared,
//	                                   preInstalledSw NA, capacitystatus Used, marketoption OnDemand; MaxResults 100, NextToken
//	servicequotas:ListServiceQuotas    ServiceCode ec2, MaxResults 100, NextToken
//
// The launch template's data: ImageId, UserData (base64), BlockDeviceMappings
// (root: VolumeSize, VolumeType, DeleteOnTermination, Encrypted, ...),
// InstanceInitiatedShutdownBehavior terminate, MetadataOptions (HttpEndpoint
// enabled, HttpTokens required, HttpPutResponseHopLimit 1), IamInstanceProfile,
// SecurityGroupIds or one NetworkInterfaces entry, KeyName, TagSpecifications
// (spot-instances-request, for spot). Its digest is its name, so one that
// exists is the same one.
//
// Error codes are read from smithy.APIError alone; codes.go has the tables.
//
// # The wire
//
// fleet config "endpoint" sets the base address of every service at once;
// AWS_ENDPOINT_URL and AWS_ENDPOINT_URL_EC2, _SSM, _STS, _PRICING,
// _SERVICE_QUOTAS do it for each, as in every SDK of AWS.
package aws
