package ec2test

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/spotrelay/spotrelay/providers/aws/ec2test/model"
)

// The services beside EC2: the price list, quotas, parameters, identity.

// getProducts lists on-demand prices as the price list has them: JSON in JSON.
func (s *Server) getProducts(input model.Values) (model.Values, *apiError) {
	if input.String("ServiceCode") != "AmazonEC2" {
		return nil, refuse("InvalidParameterException", "The service code is not valid.")
	}
	matching := []any{}
	for _, t := range s.options.Types {
		for _, system := range []string{"Linux", "Windows"} {
			attributes, price := t.productAttributes(s.options.Region, system), t.OnDemand
			if system == "Windows" {
				price *= 1.96
			}
			if matchesProduct(input.Structs("Filters"), attributes) {
				matching = append(matching, product(attributes, price))
			}
		}
	}
	part, next, refused := page(matching, input, 1, 100)
	if refused != nil {
		return nil, refused
	}
	answer := model.Values{"FormatVersion": "aws_v1", "PriceList": part}
	if next != nil {
		answer["NextToken"] = next
	}
	return answer, nil
}

func matchesProduct(filters []model.Values, attributes map[string]string) bool {
	for _, f := range filters {
		if attributes[f.String("Field")] != f.String("Value") {
			return false
		}
	}
	return true
}

func (t InstanceType) productAttributes(region, system string) map[string]string {
	return map[string]string{
		"instanceType": t.Name, "regionCode": region, "operatingSystem": system, "tenancy": "Shared", "preInstalledSw": "NA",
		"capacitystatus": "Used", "marketoption": "OnDemand", "licenseModel": "No License required", "operation": "RunInstances",
		"servicecode": "AmazonEC2", "servicename": "Amazon Elastic Compute Cloud", "locationType": "AWS Region",
		"vcpu": fmt.Sprint(t.VCPUs), "memory": fmt.Sprintf("%d GiB", t.MemoryMiB/1024), "currentGeneration": "Yes",
	}
}

func product(attributes map[string]string, price float64) string {
	sku := "SKU" + fingerprint(model.Values{"of": fmt.Sprint(attributes)})[:13]
	term, dimension := sku+".JRTCKXETXF", sku+".JRTCKXETXF.6YS6EN2CT7"
	data, err := json.Marshal(map[string]any{
		"product":     map[string]any{"productFamily": "Compute Instance", "attributes": attributes, "sku": sku},
		"serviceCode": "AmazonEC2", "version": "20250601000000", "publicationDate": "2025-06-01T00:00:00Z",
		"terms": map[string]any{"OnDemand": map[string]any{term: map[string]any{
			"sku": sku, "offerTermCode": "JRTCKXETXF", "effectiveDate": "2025-06-01T00:00:00Z", "termAttributes": map[string]any{},
			"priceDimensions": map[string]any{dimension: map[string]any{
				"unit": "Hrs", "beginRange": "0", "endRange": "Inf", "rateCode": dimension, "appliesTo": []string{},
				"description":  fmt.Sprintf("$%g per On Demand %s Instance Hour", price, attributes["instanceType"]),
				"pricePerUnit": map[string]string{"USD": fmt.Sprintf("%.10f", price)},
			}},
		}}},
	})
	if err != nil {
		panic("ec2test: a product is not JSON: " + err.Error())
	}
	return string(data)
}

func (s *Server) listServiceQuotas(input model.Values) (model.Values, *apiError) {
	if input.String("ServiceCode") != "ec2" {
		return nil, refuse("NoSuchResourceException", "The request failed because the specified service does not exist.")
	}
	matching := []any{}
	for _, code := range slices.Sorted(maps.Keys(s.quotas)) {
		matching = append(matching, s.quota(code))
	}
	part, next, refused := page(matching, input, 1, 100)
	if refused != nil {
		return nil, refused
	}
	answer := model.Values{"Quotas": part}
	if next != nil {
		answer["NextToken"] = next
	}
	return answer, nil
}

func (s *Server) quota(code string) model.Values {
	return model.Values{
		"ServiceCode": "ec2", "ServiceName": "Amazon Elastic Compute Cloud (Amazon EC2)", "QuotaCode": code,
		"QuotaName": quotaNames[code], "Value": s.quotas[code], "Unit": "None", "Adjustable": true, "GlobalQuota": false,
		"QuotaArn": "arn:aws:servicequotas:" + s.options.Region + ":" + Account + ":ec2/" + code,
	}
}

func (s *Server) getServiceQuota(input model.Values) (model.Values, *apiError) {
	code := input.String("QuotaCode")
	if _, known := s.quotas[code]; !known || input.String("ServiceCode") != "ec2" {
		return nil, refuse("NoSuchResourceException", "The request failed because the specified service quota does not exist.")
	}
	return model.Values{"Quota": s.quota(code)}, nil
}

func (s *Server) getParameter(input model.Values) (model.Values, *apiError) {
	id, known := parameter(input.String("Name"))
	if !known {
		return nil, refuse("ParameterNotFound", "Parameter %s not found.", input.String("Name"))
	}
	return model.Values{"Parameter": parameterValue(input.String("Name"), id)}, nil
}

func (s *Server) getParameters(input model.Values) (model.Values, *apiError) {
	found, unknown := []any{}, []any{}
	for _, name := range input.Strings("Names") {
		if id, known := parameter(name); known {
			found = append(found, parameterValue(name, id))
		} else {
			unknown = append(unknown, name)
		}
	}
	return model.Values{"Parameters": found, "InvalidParameters": unknown}, nil
}

func parameterValue(name, id string) model.Values {
	return model.Values{
		"Name": name, "Type": "String", "Value": id, "Version": int64(7), "DataType": "aws:ec2:image",
		"LastModifiedDate": time.Unix(1749556800, 0), "ARN": "arn:aws:ssm:us-east-1::parameter" + name,
	}
}

func (s *Server) getCallerIdentity(model.Values) (model.Values, *apiError) {
	return model.Values{"UserId": "AIDACKCEVSQ6C2EXAMPLE", "Account": Account, "Arn": callerARN}, nil
}

func (s *Server) assumeRole(input model.Values) (model.Values, *apiError) {
	return model.Values{
		"Credentials": model.Values{
			"AccessKeyId": AccessKey, "SecretAccessKey": SecretKey, "SessionToken": "session-of-" + input.String("RoleSessionName"),
			"Expiration": s.clock.now().Add(time.Hour),
		},
		"AssumedRoleUser": model.Values{"AssumedRoleId": "AROACLKWSDQRAOEXAMPLE:" + input.String("RoleSessionName"), "Arn": input.String("RoleArn")},
	}, nil
}
