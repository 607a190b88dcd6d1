package model

import (
	"encoding/xml"
	"errors"
	"io"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func ec2() *Service { return Load().Services["ec2"] }

func TestDecodeQuery(t *testing.T) {
	form := url.Values{
		"Action": {"CreateFleet"}, "Version": {"2016-11-15"},
		"Type": {"instant"}, "ClientToken": {"token"},
		"TargetCapacitySpecification.TotalTargetCapacity":                        {"3"},
		"TargetCapacitySpecification.DefaultTargetCapacityType":                  {"spot"},
		"LaunchTemplateConfigs.1.LaunchTemplateSpecification.LaunchTemplateName": {"relay"},
		"LaunchTemplateConfigs.1.Overrides.1.InstanceType":                       {"m5.large"},
		"LaunchTemplateConfigs.1.Overrides.1.Priority":                           {"1.5"},
		"LaunchTemplateConfigs.1.Overrides.2.InstanceType":                       {"c5.large"},
		"TagSpecification.1.ResourceType":                                        {"instance"},
		"TagSpecification.1.Tag.1.Key":                                           {"k"},
		"TagSpecification.1.Tag.1.Value":                                         {""},
		"ValidFrom":                                                              {"2026-01-02T03:04:05Z"},
		"SpotOptions.SingleInstanceType":                                         {"true"},
	}
	got, err := ec2().DecodeQuery("CreateFleet", form)
	if err != nil {
		t.Fatal(err)
	}
	want := Values{
		"Type": "instant", "ClientToken": "token",
		"TargetCapacitySpecification": Values{"TotalTargetCapacity": int64(3), "DefaultTargetCapacityType": "spot"},
		"LaunchTemplateConfigs": []any{Values{
			"LaunchTemplateSpecification": Values{"LaunchTemplateName": "relay"},
			"Overrides":                   []any{Values{"InstanceType": "m5.large", "Priority": 1.5}, Values{"InstanceType": "c5.large"}},
		}},
		"TagSpecifications": []any{Values{"ResourceType": "instance", "Tags": []any{Values{"Key": "k", "Value": ""}}}},
		"ValidFrom":         time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
		"SpotOptions":       Values{"SingleInstanceType": true},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// What the model does not allow is refused with the service's own code.
func TestDecodeQueryRefuses(t *testing.T) {
	cases := map[string]struct{ operation, query, code, names string }{
		"unknown operation":       {"LaunchAll", "", "InvalidAction", "LaunchAll"},
		"unknown parameter":       {"DescribeInstances", "Colour=red", "UnknownParameter", "Colour"},
		"unknown below":           {"DescribeInstances", "Filter.1.Nome=x", "UnknownParameter", "Filter.1.Nome"},
		"the model's name":        {"DescribeInstances", "Filters.1.Name=x", "UnknownParameter", "Filters"},
		"a name in lower case":    {"DescribeInstances", "maxResults=5", "UnknownParameter", "maxResults"},
		"member of a list":        {"DescribeInstances", "InstanceId.member.1=i-1", "UnknownParameter", "InstanceId"},
		"a list from zero":        {"DescribeInstances", "InstanceId.0=i-1", "UnknownParameter", "InstanceId"},
		"a gap in a list":         {"DescribeInstances", "InstanceId.1=i-1&InstanceId.3=i-3", "UnknownParameter", "InstanceId"},
		"a list as a value":       {"DescribeInstances", "InstanceId=i-1", "InvalidParameterValue", "InstanceId"},
		"a structure as a value":  {"CreateFleet", "SpotOptions=1", "InvalidParameterValue", "SpotOptions"},
		"a value with members":    {"CreateFleet", "Type.1=instant", "UnknownParameter", "Type"},
		"twice":                   {"DescribeInstances", "NextToken=a&NextToken=b", "InvalidParameterCombination", "NextToken"},
		"no number":               {"DescribeInstances", "MaxResults=many", "InvalidParameterValue", "MaxResults"},
		"a number out of int":     {"DescribeInstances", "MaxResults=3000000000", "InvalidParameterValue", "MaxResults"},
		"no boolean":              {"TerminateInstances", "InstanceId.1=i-1&DryRun=yes", "InvalidParameterValue", "DryRun"},
		"no time":                 {"CreateFleet", "ValidFrom=today", "InvalidParameterValue", "ValidFrom"},
		"no member of the enum":   {"CreateFleet", "Type=eternal", "InvalidParameterValue", "Type"},
		"required":                {"TerminateInstances", "", "MissingParameter", "InstanceIds"},
		"required below":          {"CreateFleet", "LaunchTemplateConfigs.1.Overrides.1.InstanceType=m5.large&TargetCapacitySpecification.DefaultTargetCapacityType=spot", "MissingParameter", "TotalTargetCapacity"},
		"below the least":         {"DescribeInstanceTypes", "MaxResults=2", "InvalidParameterValue", "MaxResults"},
		"above the most":          {"DescribeInstanceTypes", "MaxResults=101", "InvalidParameterValue", "MaxResults"},
		"a text that is too long": {"CreateLaunchTemplate", "LaunchTemplateName=" + strings.Repeat("a", 129), "InvalidParameterValue", "LaunchTemplateName"},
		"a pattern":               {"CreateLaunchTemplate", "LaunchTemplateName=a%20b", "InvalidParameterValue", "LaunchTemplateName"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			form, err := url.ParseQuery(c.query)
			if err != nil {
				t.Fatal(err)
			}
			_, err = ec2().DecodeQuery(c.operation, form)
			var fault *Fault
			if !errors.As(err, &fault) {
				t.Fatalf("it was taken: %v", err)
			}
			if fault.Code != c.code || !strings.Contains(fault.Message, c.names) {
				t.Errorf("%s; want %s about %s", fault, c.code, c.names)
			}
		})
	}
}

func TestDecodeJSON(t *testing.T) {
	pricing := Load().Services["pricing"]
	got, err := pricing.DecodeJSON("GetProducts", []byte(`{"ServiceCode":"AmazonEC2","MaxResults":100,"Filters":[{"Type":"TERM_MATCH","Field":"f","Value":"v"}]}`))
	want := Values{"ServiceCode": "AmazonEC2", "MaxResults": int64(100), "Filters": []any{Values{"Type": "TERM_MATCH", "Field": "f", "Value": "v"}}}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("%v\n%s", err, diff)
	}
	for body, code := range map[string]string{
		`{`:                   "SerializationException",
		`[]`:                  "SerializationException",
		`{"ServiceCode":1}`:   "SerializationException",
		`{"servicecode":"a"}`: "SerializationException",
		`{"Filters":[{}]}`:    "ValidationException",
		`{"ServiceCode":"AmazonEC2","MaxResults":101}`:                                           "ValidationException",
		`{"ServiceCode":"AmazonEC2","Filters":[{"Type":"ABOUT_MATCH","Field":"f","Value":"v"}]}`: "ValidationException",
	} {
		_, err := pricing.DecodeJSON("GetProducts", []byte(body))
		var fault *Fault
		if !errors.As(err, &fault) || fault.Code != code {
			t.Errorf("%s: %v; want %s", body, err, code)
		}
	}
}

// An answer with a member, a type or a value that the model does not have is an
// error, not something that a client would pass over.
func TestEncodeRefuses(t *testing.T) {
	for name, answer := range map[string]Values{
		"unknown member": {"Colour": "red"},
		"unknown below":  {"Reservations": []any{Values{"Colour": "red"}}},
		"wrong type":     {"NextToken": int64(1)},
		"no list":        {"Reservations": Values{}},
		"no structure":   {"Reservations": []any{"r"}},
		"wrong enum":     {"Reservations": []any{Values{"Instances": []any{Values{"Architecture": "vax"}}}}},
	} {
		if text, err := ec2().EncodeXML("DescribeInstances", "id", answer); err == nil {
			t.Errorf("%s: it was written: %s", name, text)
		}
	}
}

// Whatever text is put in, the XML is well-formed and has it.
func TestEncodeXMLIsWellFormed(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringMatching(`[ -~äöü<>&"']*`).Draw(t, "text")
		data, err := ec2().EncodeXML("DescribeInstances", "id", Values{"NextToken": text})
		if err != nil {
			t.Fatal(err)
		}
		var read struct {
			NextToken string `xml:"nextToken"`
		}
		if err := xml.Unmarshal(data, &read); err != nil || read.NextToken != text {
			t.Fatalf("%q came back as %q: %v", text, read.NextToken, err)
		}
	})
}

// Nothing that arrives makes the reader fall over, and what it takes has been
// understood whole.
func FuzzDecodeQuery(f *testing.F) {
	f.Add("DescribeInstances", "Filter.1.Name=tag:a&Filter.1.Value.1=b&MaxResults=5")
	f.Add("CreateFleet", "LaunchTemplateConfigs.1.Overrides.1.InstanceType=m5.large")
	f.Add("TerminateInstances", "InstanceId.1=i-1&InstanceId.01=i-2")
	f.Fuzz(func(t *testing.T, operation, query string) {
		form, err := url.ParseQuery(query)
		if err != nil {
			return
		}
		values, err := ec2().DecodeQuery(operation, form)
		var fault *Fault
		if err != nil && (!errors.As(err, &fault) || values != nil) {
			t.Fatalf("%v with %v", err, values)
		}
		delete(form, "Action")
		delete(form, "Version")
		if err == nil && leaves(values) != len(form) {
			t.Fatalf("%d values out of %d parameters: %v", leaves(values), len(form), values)
		}
	})
}

func leaves(value any) int {
	sum := 0
	switch v := value.(type) {
	case Values:
		for _, below := range v {
			sum += leaves(below)
		}
	case []any:
		for _, below := range v {
			sum += leaves(below)
		}
	default:
		return 1
	}
	return sum
}

func TestErrorXML(t *testing.T) {
	text := ec2().ErrorXML("id", "Code", "a < b")
	decoder := xml.NewDecoder(strings.NewReader(string(text)))
	for {
		if _, err := decoder.Token(); errors.Is(err, io.EOF) {
			return
		} else if err != nil {
			t.Fatal(err)
		}
	}
}
