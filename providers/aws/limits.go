package aws

import (
	"context"
	"sync"

	"golang.org/x/time/rate"
)

// bucket is a token bucket as AWS has one for each API, account and region.
type bucket struct {
	perSecond float64
	size      int
}

// AWS's buckets ("Request throttling for the Amazon EC2 API", its table of
// categories). An account has others who call, so of most buckets this process
// takes half.
var (
	filteredReads   = bucket{10, 50}  // Describe* with filters or pages: 20 a second, 100 at once
	unfilteredReads = bucket{5, 25}   // the others: 10 a second, 50 at once
	mutations       = bucket{2.5, 25} // 5 a second, 50 at once
	launches        = bucket{2, 5}    // RunInstances and what launches by it: all of it, since it is what runs wait for
	consoleReads    = bucket{5, 50}   // 10 a second, 100 at once
	slowServices    = bucket{5, 10}   // pricing, quotas, parameters: 10 a second and more
)

// buckets by API; one that is missing here has mutations.
var buckets = map[string]bucket{
	"ec2:DescribeInstances":              filteredReads,
	"ec2:DescribeSpotInstanceRequests":   filteredReads,
	"ec2:DescribeInstanceTypes":          filteredReads,
	"ec2:DescribeInstanceTypeOfferings":  filteredReads,
	"ec2:DescribeSpotPriceHistory":       filteredReads,
	"ec2:DescribeSubnets":                filteredReads,
	"ec2:DescribeLaunchTemplates":        filteredReads,
	"ec2:DescribeImages":                 filteredReads,
	"ec2:DescribeSecurityGroups":         unfilteredReads,
	"ec2:DescribeKeyPairs":               unfilteredReads,
	"ec2:DescribeLaunchTemplateVersions": unfilteredReads,
	"ec2:GetConsoleOutput":               consoleReads,
	"ec2:CreateFleet":                    launches,
	"ec2:RunInstances":                   launches,
	"ssm:GetParameters":                  slowServices,
	"pricing:GetProducts":                slowServices,
	"servicequotas:ListServiceQuotas":    slowServices,
	"sts:GetCallerIdentity":              slowServices,
}

// limits keeps this process within AWS's buckets, for one account and region.
type limits struct {
	mu       sync.Mutex
	limiters map[string]*rate.Limiter
}

// wait waits until the API may be called again, or ctx ends.
func (l *limits) wait(ctx context.Context, api string) error {
	l.mu.Lock()
	limiter := l.limiters[api]
	if limiter == nil {
		b, known := buckets[api]
		if !known {
			b = mutations
		}
		limiter = rate.NewLimiter(rate.Limit(b.perSecond), b.size)
		if l.limiters == nil {
			l.limiters = map[string]*rate.Limiter{}
		}
		l.limiters[api] = limiter
	}
	l.mu.Unlock()
	return limiter.Wait(ctx)
}
