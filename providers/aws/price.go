package aws

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
)

// spotLife is how long spot prices are used. They move a few times a day.
const spotLife = 5 * time.Minute

// zoneType is an instance type in a zone.
type zoneType struct{ zone, instanceType string }

// spotPrices are the current ones, in dollars an hour.
func (s *session) spotPrices(ctx context.Context, op string, c config, zones []string) (map[zoneType]float64, error) {
	return s.spot.get(ctx, spotKey(c, zones), spotLife, func(ctx context.Context) (map[zoneType]float64, error) {
		return s.fetchSpotPrices(ctx, op, c, zones)
	})
}

func spotKey(c config, zones []string) string {
	return strings.Join(c.InstanceTypes, ",") + " " + strings.Join(zones, ",")
}

// fetchSpotPrices asks for the price history from now on, which is one price
// for each type and zone: the one in force.
func (s *session) fetchSpotPrices(ctx context.Context, op string, c config, zones []string) (map[zoneType]float64, error) {
	in := &ec2.DescribeSpotPriceHistoryInput{
		ProductDescriptions: []string{"Linux/UNIX"}, StartTime: aws.Time(time.Now()), MaxResults: aws.Int32(1000),
		Filters: append(globFilter(c), filter("availability-zone", zones...)),
	}
	prices, at := map[zoneType]float64{}, map[zoneType]time.Time{}
	for {
		out, err := ask(ctx, s, call{op, "ec2:DescribeSpotPriceHistory"}, s.ec2.DescribeSpotPriceHistory, in)
		if err != nil {
			return nil, err
		}
		for i := range out.SpotPriceHistory {
			entry := &out.SpotPriceHistory[i]
			key := zoneType{aws.ToString(entry.AvailabilityZone), string(entry.InstanceType)}
			price, err := strconv.ParseFloat(aws.ToString(entry.SpotPrice), 64)
			if err != nil || !(price > 0) {
				continue // no price, no offer
			}
			if when := aws.ToTime(entry.Timestamp); at[key].IsZero() || when.After(at[key]) {
				prices[key], at[key] = price, when
			}
		}
		if in.NextToken = out.NextToken; aws.ToString(in.NextToken) == "" {
			return prices, nil
		}
	}
}
