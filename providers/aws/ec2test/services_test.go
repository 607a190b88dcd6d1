package ec2test

import (
	"bytes"
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/aws-sdk-go-v2/service/pricing"
	pricingtypes "github.com/aws/aws-sdk-go-v2/service/pricing/types"
	"github.com/aws/aws-sdk-go-v2/service/servicequotas"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/sts"
)

// The services beside EC2 answer the real clients.
func TestServices(t *testing.T) {
	r := newRig(t, Options{})
	ctx, config := context.Background(), r.server.sdkConfig()
	identity, err := sts.NewFromConfig(config).GetCallerIdentity(ctx, nil)
	if err != nil || aws.ToString(identity.Account) != Account {
		t.Errorf("%v: %+v", err, identity)
	}
	parameters, err := ssm.NewFromConfig(config).GetParameters(ctx, &ssm.GetParametersInput{Names: []string{"/aws/service/canonical/ubuntu/server/24.04/stable/current/arm64/hvm/ebs-gp3/ami-id", "/none"}})
	if err != nil || len(parameters.Parameters) != 1 || aws.ToString(parameters.Parameters[0].Value) != ImageARM || len(parameters.InvalidParameters) != 1 {
		t.Errorf("%v: %+v", err, parameters)
	}
	quotas, err := servicequotas.NewFromConfig(config).ListServiceQuotas(ctx, &servicequotas.ListServiceQuotasInput{ServiceCode: aws.String("ec2")})
	if err != nil || len(quotas.Quotas) != len(quotaNames) {
		t.Errorf("%v: %+v", err, quotas)
	}
	filter := func(field, value string) pricingtypes.Filter {
		return pricingtypes.Filter{Type: pricingtypes.FilterTypeTermMatch, Field: &field, Value: &value}
	}
	products, err := pricing.NewFromConfig(config).GetProducts(ctx, &pricing.GetProductsInput{
		ServiceCode: aws.String("AmazonEC2"), Filters: []pricingtypes.Filter{filter("instanceType", "m5.large"), filter("operatingSystem", "Linux")},
	})
	if err != nil || len(products.PriceList) != 1 || !strings.Contains(products.PriceList[0], `"USD":"0.0960000000"`) {
		t.Errorf("%v: %+v", err, products)
	}
	r.server.Deny("pricing:GetProducts", "sts:GetCallerIdentity")
	_, err = pricing.NewFromConfig(config).GetProducts(ctx, &pricing.GetProductsInput{ServiceCode: aws.String("AmazonEC2")})
	r.wantCode(err, "AccessDeniedException", 400)
	_, err = sts.NewFromConfig(config).GetCallerIdentity(ctx, nil)
	r.wantCode(err, "AccessDenied", 403)
}

func TestTypesAndPrices(t *testing.T) {
	r := newRig(t, Options{})
	ctx := context.Background()
	kinds, err := r.client.DescribeInstanceTypes(ctx, &ec2.DescribeInstanceTypesInput{Filters: []types.Filter{{Name: aws.String("instance-type"), Values: []string{"g*"}}}})
	if err != nil || len(kinds.InstanceTypes) != 2 || len(kinds.InstanceTypes[0].GpuInfo.Gpus) != 1 {
		t.Errorf("%v: %+v", err, kinds)
	}
	offerings, err := r.client.DescribeInstanceTypeOfferings(ctx, &ec2.DescribeInstanceTypeOfferingsInput{
		LocationType: types.LocationTypeAvailabilityZone, Filters: []types.Filter{{Name: aws.String("instance-type"), Values: []string{"p4d.24xlarge", "m5.large"}}},
	})
	if err != nil || len(offerings.InstanceTypeOfferings) != 4 {
		t.Errorf("%v: %+v", err, offerings)
	}
	history := func(in *ec2.DescribeSpotPriceHistoryInput) int {
		t.Helper()
		out, err := r.client.DescribeSpotPriceHistory(ctx, in)
		if err != nil {
			t.Fatal(err)
		}
		return len(out.SpotPriceHistory)
	}
	m5 := []types.InstanceType{"m5.large"}
	if n := history(&ec2.DescribeSpotPriceHistoryInput{InstanceTypes: m5}); n != 3*2*3 {
		t.Errorf("%d records in all", n)
	}
	if n := history(&ec2.DescribeSpotPriceHistoryInput{InstanceTypes: m5, StartTime: aws.Time(time.Now()), ProductDescriptions: []string{"Linux/UNIX"}}); n != 3 {
		t.Errorf("%d records now", n)
	}
}

func TestThrottling(t *testing.T) {
	r := newRig(t, Options{})
	ctx := context.Background()
	r.server.Throttle("DescribeInstances", 2, 0.1)
	for i, want := range []string{"", "", "RequestLimitExceeded"} {
		_, err := r.client.DescribeInstances(ctx, nil)
		if code, _ := codeOf(err); code != want {
			t.Errorf("call %d: %v", i, err)
		}
	}
	if _, err := r.client.DescribeSubnets(ctx, nil); err != nil {
		t.Errorf("another operation: %v", err)
	}
	r.server.Advance(11 * time.Second)
	if _, err := r.client.DescribeInstances(ctx, nil); err != nil {
		t.Errorf("after a while: %v", err)
	}
}

// Only requests that are signed, with the key and the content that arrive, are
// served.
func TestSignatures(t *testing.T) {
	r := newRig(t, Options{})
	ctx := context.Background()
	other := r.server.sdkConfig()
	other.Credentials = credentials.NewStaticCredentialsProvider(AccessKey, "another secret", "")
	_, err := ec2.NewFromConfig(other).DescribeInstances(ctx, nil)
	r.wantCode(err, "SignatureDoesNotMatch", 403)
	other.Credentials = credentials.NewStaticCredentialsProvider("AKIAOTHER", SecretKey, "")
	_, err = ec2.NewFromConfig(other).DescribeInstances(ctx, nil)
	r.wantCode(err, "AuthFailure", 401)
	elsewhere := r.server.sdkConfig()
	elsewhere.Region = "eu-west-1"
	_, err = ec2.NewFromConfig(elsewhere).DescribeInstances(ctx, nil)
	r.wantCode(err, "SignatureDoesNotMatch", 403)
	tampered := r.server.sdkConfig()
	tampered.HTTPClient = roundTripper(func(request *http.Request) (*http.Response, error) {
		request = request.Clone(request.Context())
		request.Body, request.ContentLength = http.NoBody, 0
		body := "Action=DescribeInstances&Version=2016-11-15&MaxResults=6"
		request.Body, request.ContentLength = readCloser{bytes.NewReader([]byte(body))}, int64(len(body))
		return http.DefaultTransport.RoundTrip(request)
	})
	_, err = ec2.NewFromConfig(tampered).DescribeInstances(ctx, &ec2.DescribeInstancesInput{MaxResults: aws.Int32(5)})
	r.wantCode(err, "SignatureDoesNotMatch", 403)
	response, err := http.Post(r.server.URL, "application/x-www-form-urlencoded", strings.NewReader("Action=DescribeInstances&Version=2016-11-15"))
	if err != nil || response.StatusCode == http.StatusOK {
		t.Errorf("unsigned: %v %v", err, response)
	}
	r.server.Forgive()
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) Do(r *http.Request) (*http.Response, error) { return f(r) }

type readCloser struct{ *bytes.Reader }

func (readCloser) Close() error { return nil }
