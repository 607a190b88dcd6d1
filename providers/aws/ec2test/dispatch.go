package ec2test

import "github.com/spotrelay/spotrelay/providers/aws/ec2test/model"

type handler func(*Server, model.Values) (model.Values, *apiError)

// handlers by service and operation. Those in the model that are missing here
// are refused: they stand in the model so that a test may extend the server.
var handlers = map[string]map[string]handler{
	"ec2": {
		"CreateFleet":                    (*Server).createFleet,
		"CreateLaunchTemplate":           (*Server).createTemplate,
		"CreateLaunchTemplateVersion":    (*Server).createTemplateVersion,
		"CreateTags":                     (*Server).createTags,
		"DeleteLaunchTemplate":           (*Server).deleteTemplate,
		"DeleteLaunchTemplateVersions":   (*Server).deleteTemplateVersions,
		"DescribeAvailabilityZones":      (*Server).describeZones,
		"DescribeImages":                 (*Server).describeImages,
		"DescribeInstanceTypeOfferings":  (*Server).describeOfferings,
		"DescribeInstanceTypes":          (*Server).describeTypes,
		"DescribeInstances":              (*Server).describeInstances,
		"DescribeKeyPairs":               (*Server).describeKeyPairs,
		"DescribeLaunchTemplateVersions": (*Server).describeTemplateVersions,
		"DescribeLaunchTemplates":        (*Server).describeTemplates,
		"DescribeSecurityGroups":         (*Server).describeSecurityGroups,
		"DescribeSpotInstanceRequests":   (*Server).describeSpotRequests,
		"DescribeSpotPriceHistory":       (*Server).describeSpotPrices,
		"DescribeSubnets":                (*Server).describeSubnets,
		"DescribeVpcs":                   (*Server).describeVpcs,
		"GetConsoleOutput":               (*Server).consoleOutput,
		"RunInstances":                   (*Server).runInstances,
		"TerminateInstances":             (*Server).terminateInstances,
	},
	"pricing":       {"GetProducts": (*Server).getProducts},
	"servicequotas": {"GetServiceQuota": (*Server).getServiceQuota, "ListServiceQuotas": (*Server).listServiceQuotas},
	"ssm":           {"GetParameter": (*Server).getParameter, "GetParameters": (*Server).getParameters},
	"sts":           {"AssumeRole": (*Server).assumeRole, "GetCallerIdentity": (*Server).getCallerIdentity},
}

// dryRunsItself are operations that look at more than the permission first.
var dryRunsItself = map[string]bool{"CreateFleet": true, "CreateLaunchTemplate": true, "RunInstances": true}

func (s *Server) dispatch(service, operation string, input model.Values) (model.Values, *apiError) {
	serve := handlers[service][operation]
	if serve == nil {
		return nil, violate("InvalidAction", "The action %s is not valid for this web service", operation)
	}
	if input.Bool("DryRun") && !dryRunsItself[operation] {
		return nil, dryRun()
	}
	return serve(s, input)
}

func dryRun() *apiError {
	return refuse("DryRunOperation", "Request would have succeeded, but DryRun flag is set.")
}
