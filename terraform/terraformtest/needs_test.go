package terraformtest

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// needs are the permissions that an operation takes.
type needs map[string][]string

// awsNeeds is the reviewed table for AWS. Sources: the Service Authorization
// Reference, "Actions, resources, and condition keys for" Amazon EC2, Amazon S3,
// AWS Systems Manager, AWS Price List, Service Quotas; for CreateFleet, EC2's
// User Guide, "EC2 Fleet prerequisites" (RunInstances, CreateTags, PassRole and
// the service-linked roles); for RunInstances of a dry run, "Example policies to
// control access to the Amazon EC2 API"; for the actions that need none,
// "GetCallerIdentity" in the STS API Reference. AssumeRole is made by the
// identity that takes the role up, and is no permission of the role.
var awsNeeds = needs{
	"ec2:CreateFleet":                    {"ec2:CreateFleet", "ec2:RunInstances", "ec2:CreateTags", "iam:PassRole", "iam:CreateServiceLinkedRole"},
	"ec2:CreateLaunchTemplate":           {"ec2:CreateLaunchTemplate", "ec2:CreateTags"},
	"ec2:DeleteLaunchTemplate":           {"ec2:DeleteLaunchTemplate"},
	"ec2:DescribeImages":                 {"ec2:DescribeImages"},
	"ec2:DescribeInstanceTypeOfferings":  {"ec2:DescribeInstanceTypeOfferings"},
	"ec2:DescribeInstanceTypes":          {"ec2:DescribeInstanceTypes"},
	"ec2:DescribeInstances":              {"ec2:DescribeInstances"},
	"ec2:DescribeKeyPairs":               {"ec2:DescribeKeyPairs"},
	"ec2:DescribeLaunchTemplateVersions": {"ec2:DescribeLaunchTemplateVersions"},
	"ec2:DescribeLaunchTemplates":        {"ec2:DescribeLaunchTemplates"},
	"ec2:DescribeSecurityGroups":         {"ec2:DescribeSecurityGroups"},
	"ec2:DescribeSpotInstanceRequests":   {"ec2:DescribeSpotInstanceRequests"},
	"ec2:DescribeSpotPriceHistory":       {"ec2:DescribeSpotPriceHistory"},
	"ec2:DescribeSubnets":                {"ec2:DescribeSubnets"},
	"ec2:GetConsoleOutput":               {"ec2:GetConsoleOutput"},
	"ec2:RunInstances":                   {"ec2:RunInstances", "ec2:CreateTags", "iam:PassRole"},
	"ec2:TerminateInstances":             {"ec2:TerminateInstances"},
	"pricing:GetProducts":                {"pricing:GetProducts"},
	"s3:DeleteObject":                    {"s3:DeleteObject"},
	"s3:GetObject":                       {"s3:GetObject"},
	"s3:HeadObject":                      {"s3:GetObject"},
	"s3:ListObjectsV2":                   {"s3:ListBucket"},
	"s3:PutObject":                       {"s3:PutObject"},
	"servicequotas:ListServiceQuotas":    {"servicequotas:ListServiceQuotas"},
	"ssm:GetParameters":                  {"ssm:GetParameters"},
	"sts:AssumeRole":                     nil,
	"sts:GetCallerIdentity":              nil,
}

// kmsNeeds are what S3 asks for on behalf of the caller where the bucket has a
// key ("Protecting data with server-side encryption using AWS KMS keys").
var kmsNeeds = needs{"s3:GetObject": {"kms:Decrypt"}, "s3:PutObject": {"kms:GenerateDataKey"}}

// gcpNeeds is the reviewed table for Google Cloud. Sources: each method's page
// in Compute Engine's REST reference, "IAM Permissions"; for bulkInsert also
// "Create VMs in bulk", "Required roles", and the fields that the provider sets
// (labels, metadata, tags, serviceAccounts, boot disks with labels, an external
// address, an image); "Cloud Storage JSON API methods and IAM permissions",
// where an insert over an object that is there takes the deletion as well; the
// Cloud Billing catalogue is public and takes none.
var gcpNeeds = needs{
	"cloudbilling.services.skus.list":            nil,
	"compute.acceleratorTypes.list":              {"compute.acceleratorTypes.list"},
	"compute.images.get":                         {"compute.images.get"},
	"compute.images.getFromFamily":               {"compute.images.getFromFamily"},
	"compute.instances.delete":                   {"compute.instances.delete"},
	"compute.instances.get":                      {"compute.instances.get"},
	"compute.instances.getSerialPortOutput":      {"compute.instances.getSerialPortOutput"},
	"compute.instances.list":                     {"compute.instances.list"},
	"compute.instances.simulateMaintenanceEvent": {"compute.instances.simulateMaintenanceEvent"},
	"compute.machineTypes.list":                  {"compute.machineTypes.list"},
	"compute.networks.get":                       {"compute.networks.get"},
	"compute.projects.get":                       {"compute.projects.get"},
	"compute.regionInstances.bulkInsert": {
		"compute.instances.create", "compute.instances.setLabels", "compute.instances.setMetadata", "compute.instances.setTags",
		"compute.instances.setServiceAccount", "compute.disks.create", "compute.disks.setLabels", "compute.images.useReadOnly",
		"compute.subnetworks.use", "compute.subnetworks.useExternalIp", "iam.serviceAccounts.actAs",
	},
	"compute.regionOperations.wait": {"compute.regionOperations.get"},
	"compute.regions.get":           {"compute.regions.get"},
	"compute.subnetworks.get":       {"compute.subnetworks.get"},
	"compute.zoneOperations.list":   {"compute.zoneOperations.list"},
	"storage.objects.delete":        {"storage.objects.delete"},
	"storage.objects.get":           {"storage.objects.get"},
	"storage.objects.insert":        {"storage.objects.create", "storage.objects.delete"},
	"storage.objects.list":          {"storage.objects.list"},
}

// with adds a table's permissions to those of the same operations.
func (n needs) with(more needs) needs {
	all := maps.Clone(n)
	for operation, permissions := range more {
		all[operation] = slices.Concat(all[operation], permissions)
	}
	return all
}

// compare holds what is allowed against what is called, and says each
// difference: an operation that the table does not know, a permission that is
// missing, one that nothing needs.
func (n needs) compare(called, allowed []string) []string {
	wanted := map[string][]string{}
	var differences []string
	for _, operation := range called {
		permissions, known := n[operation]
		if !known {
			differences = append(differences, fmt.Sprintf("the code calls %s, which the table of permissions does not have", operation))
		}
		for _, permission := range permissions {
			wanted[permission] = append(wanted[permission], operation)
		}
	}
	for _, permission := range slices.Sorted(maps.Keys(wanted)) {
		if !slices.Contains(allowed, permission) {
			differences = append(differences, fmt.Sprintf("%s is not allowed; %s needs it", permission, strings.Join(wanted[permission], ", ")))
		}
	}
	for _, permission := range allowed {
		if wanted[permission] == nil {
			differences = append(differences, fmt.Sprintf("%s is allowed, and nothing calls for it", permission))
		}
	}
	return differences
}
