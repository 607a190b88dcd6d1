package model

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
)

// operations are what the provider calls and what tests need beside it.
var operations = map[string][]string{
	"ec2": {
		"CreateFleet", "CreateLaunchTemplate", "CreateLaunchTemplateVersion", "CreateTags",
		"DeleteFleets", "DeleteLaunchTemplate", "DeleteLaunchTemplateVersions", "DescribeAvailabilityZones",
		"DescribeFleets", "DescribeImages", "DescribeInstanceStatus", "DescribeInstanceTypeOfferings",
		"DescribeInstanceTypes", "DescribeInstances", "DescribeKeyPairs", "DescribeLaunchTemplateVersions",
		"DescribeLaunchTemplates", "DescribeRegions", "DescribeSecurityGroups",
		"DescribeSpotInstanceRequests", "DescribeSpotPriceHistory", "DescribeSubnets", "DescribeVpcs",
		"GetConsoleOutput", "RunInstances", "TerminateInstances",
	},
	"pricing":       {"GetProducts"},
	"servicequotas": {"GetServiceQuota", "ListServiceQuotas", "ListAWSDefaultServiceQuotas"},
	"ssm":           {"GetParameter", "GetParameters"},
	"sts":           {"AssumeRole", "GetCallerIdentity"},
}

// folders are where botocore keeps the models, by service.
var folders = map[string]string{
	"ec2":           "ec2/2016-11-15",
	"pricing":       "pricing/2017-10-15",
	"servicequotas": "service-quotas/2019-06-24",
	"ssm":           "ssm/2014-11-06",
	"sts":           "sts/2011-06-15",
}

// openEnums are enums that a service extends every week: what is in them is
// checked against what is rented out, not against the model.
var openEnums = []string{"InstanceType"}

// DebianBotocore is where Debian's package python3-botocore installs botocore.
const DebianBotocore = "/usr/lib/python3/dist-packages/botocore"

// Installed is the botocore to read: SPOTRELAY_BOTOCORE, or Debian's. The error
// is fs.ErrNotExist when there is none.
func Installed() (string, error) {
	dir := os.Getenv("SPOTRELAY_BOTOCORE")
	if dir == "" {
		dir = DebianBotocore
	}
	_, err := os.Stat(filepath.Join(dir, "data"))
	return dir, err
}

var versionLine = regexp.MustCompile(`(?m)^__version__ = ['"]([0-9.]+)['"]`)

// Cut makes the extract out of an installed botocore.
func Cut(botocore string) (*Model, error) {
	text, err := os.ReadFile(filepath.Join(botocore, "__init__.py"))
	if err != nil {
		return nil, err
	}
	version := versionLine.FindSubmatch(text)
	if version == nil {
		return nil, fmt.Errorf("%s does not say its version", botocore)
	}
	m := &Model{Source: "botocore", Version: string(version[1]), Licence: "Apache-2.0", Services: map[string]*Service{}}
	for name, folder := range folders {
		service, err := cutService(filepath.Join(botocore, "data", filepath.FromSlash(folder)), operations[name])
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		m.Services[name] = service
	}
	return m, nil
}

// source is a service-2.json as far as it is kept.
type source struct {
	Metadata   Metadata `json:"metadata"`
	Operations map[string]struct {
		Input  Member `json:"input"`
		Output struct {
			Member
			ResultWrapper string `json:"resultWrapper"`
		} `json:"output"`
	} `json:"operations"`
	Shapes map[string]*Shape `json:"shapes"`
}

func cutService(folder string, wanted []string) (*Service, error) {
	data, err := readModel(folder)
	if err != nil {
		return nil, err
	}
	var from source
	if err := json.Unmarshal(data, &from); err != nil {
		return nil, err
	}
	s := &Service{Metadata: from.Metadata, Operations: map[string]Operation{}, Shapes: map[string]*Shape{}}
	for _, name := range wanted {
		operation, ok := from.Operations[name]
		if !ok {
			return nil, fmt.Errorf("no operation %s", name)
		}
		s.Operations[name] = Operation{operation.Input.Shape, operation.Output.Shape, operation.Output.ResultWrapper}
		s.take(from.Shapes, operation.Input.Shape)
		s.take(from.Shapes, operation.Output.Shape)
	}
	return s, s.check()
}

// take copies a shape and all that it is made of.
func (s *Service) take(from map[string]*Shape, name string) {
	if name == "" || s.Shapes[name] != nil || from[name] == nil {
		return
	}
	shape := from[name]
	if slices.Contains(openEnums, name) {
		shape.Enum = nil
	}
	s.Shapes[name] = shape
	for _, use := range shape.uses() {
		s.take(from, use.Shape)
	}
}

// readModel reads a model as Debian has it, or packed as PyPI has it.
func readModel(folder string) ([]byte, error) {
	data, err := os.ReadFile(filepath.Join(folder, "service-2.json"))
	if !errors.Is(err, fs.ErrNotExist) {
		return data, err
	}
	packed, err := os.Open(filepath.Join(folder, "service-2.json.gz"))
	if err != nil {
		return nil, err
	}
	defer packed.Close()
	unpacked, err := gzip.NewReader(packed)
	if err != nil {
		return nil, err
	}
	return io.ReadAll(io.LimitReader(unpacked, 64<<20))
}

// Encode writes the extract, one shape a line, so that differences can be read.
func (m *Model) Encode() ([]byte, error) {
	var out bytes.Buffer
	failed := error(nil)
	value := func(v any) {
		data, err := json.Marshal(v)
		failed = errors.Join(failed, err)
		out.Write(data)
	}
	fmt.Fprintf(&out, "{\"source\":%q,\"version\":%q,\"licence\":%q,\"services\":{\n", m.Source, m.Version, m.Licence)
	for i, name := range slices.Sorted(maps.Keys(m.Services)) {
		if i > 0 {
			out.WriteString(",\n")
		}
		s := m.Services[name]
		fmt.Fprintf(&out, "%q:{\"metadata\":", name)
		value(s.Metadata)
		out.WriteString(",\n\"operations\":{\n")
		lines(&out, s.Operations, value)
		out.WriteString("},\n\"shapes\":{\n")
		lines(&out, s.Shapes, value)
		out.WriteString("}}")
	}
	out.WriteString("\n}}\n")
	return out.Bytes(), failed
}

func lines[V any](out *bytes.Buffer, all map[string]V, value func(any)) {
	for i, name := range slices.Sorted(maps.Keys(all)) {
		if i > 0 {
			out.WriteString(",\n")
		}
		fmt.Fprintf(out, "%q:", name)
		value(all[name])
	}
	out.WriteString("\n")
}
