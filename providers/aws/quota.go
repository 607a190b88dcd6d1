package aws

import (
	"context"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/servicequotas"

	"github.com/spotrelay/spotrelay/providers"
)

// quotaLife is how long quotas are used, or known not to be readable.
const quotaLife = 30 * time.Minute

// quotaFamily is what one pair of quotas is for. A code is "" where there is no
// such quota.
type quotaFamily struct {
	name           string
	families       []string
	spot, onDemand string
}

func (q quotaFamily) code(capacity providers.CapacityType) string {
	if capacity == providers.Spot {
		return q.spot
	}
	return q.onDemand
}

// quotaFamilies are the vCPU quotas of EC2 ("On-Demand Instance quotas", "Spot
// Instance quotas"), each by the letters that its instance families begin
// with.
var quotaFamilies = []quotaFamily{
	{"Inf", []string{"inf"}, "L-B5D1601B", "L-1945791B"},
	{"Trn", []string{"trn"}, "L-6B0D517C", "L-2C3B7624"},
	{"DL", []string{"dl"}, "L-85EED4F7", "L-6E869C2A"},
	{"HPC", []string{"hpc"}, "", "L-F7808C92"},
	{"high memory", []string{"u-", "u7"}, "", "L-43DA4232"},
	{"G and VT", []string{"g", "vt"}, "L-3819A6DF", "L-DB2E81BA"},
	{"P", []string{"p"}, "L-7212CCBC", "L-417A185B"},
	{"F", []string{"f"}, "L-88CF9481", "L-74FC7D96"},
	{"X", []string{"x"}, "L-E3A00192", "L-7295265B"},
	{"standard", []string{"a", "c", "d", "h", "i", "m", "r", "t", "z"}, "L-34B43A08", "L-1216C47A"},
}

// familyOf is the family that an instance type counts against; false for one
// that has none known here.
func familyOf(instanceType string) (quotaFamily, bool) {
	for _, q := range quotaFamilies {
		for _, family := range q.families {
			if strings.HasPrefix(instanceType, family) {
				return q, true
			}
		}
	}
	return quotaFamily{}, false
}

// quotaCode is the quota that an instance type counts against, "" for one that
// has none known here.
func quotaCode(instanceType string, capacity providers.CapacityType) string {
	family, _ := familyOf(instanceType)
	return family.code(capacity)
}

// quotaTable is the account's quotas by code; unknown where it may not be read.
type quotaTable struct {
	known  bool
	values map[string]float64
}

// limit is how many instances of a machine the quota allows in all; false when
// that is not known.
func (q quotaTable) limit(m machine, capacity providers.CapacityType) (int, bool) {
	vcpus, ok := q.values[quotaCode(m.name, capacity)]
	if !q.known || !ok || m.cpus <= 0 {
		return 0, false
	}
	return int(vcpus) / m.cpus, true
}

// quotaTable reads the account's quotas. Where it may not, or AWS does not
// answer, they are unknown, and a launch will tell.
func (p *Provider) quotaTable(ctx context.Context, s *session, op string) (quotaTable, error) {
	fetch := func(ctx context.Context) (quotaTable, error) {
		values, err := s.fetchQuotas(ctx, op)
		if err == nil {
			return quotaTable{known: true, values: values}, nil
		}
		if ctx.Err() != nil {
			return quotaTable{}, err
		}
		p.log.Info("quotas are not known: a launch beyond one will say so", "region", s.region, "error", err)
		return quotaTable{}, nil
	}
	return s.limited.get(ctx, "", quotaLife, fetch)
}

func (s *session) fetchQuotas(ctx context.Context, op string) (map[string]float64, error) {
	in := &servicequotas.ListServiceQuotasInput{ServiceCode: aws.String("ec2"), MaxResults: aws.Int32(100)}
	values := map[string]float64{}
	for {
		out, err := ask(ctx, s, call{op, "servicequotas:ListServiceQuotas"}, s.quotas.ListServiceQuotas, in)
		if err != nil {
			return nil, err
		}
		for _, q := range out.Quotas {
			if q.Value != nil {
				values[aws.ToString(q.QuotaCode)] = *q.Value
			}
		}
		if in.NextToken = out.NextToken; aws.ToString(in.NextToken) == "" {
			return values, nil
		}
	}
}
