// Package bindings reads provider schemas out of the CDK for Terraform's
// TypeScript bindings (npm packages @cdktf/provider-*), which are generated from
// the schemas and say all that is in them: each attribute's type, whether it is
// required, optional, computed, and how blocks nest. The generated TypeScript is
// in the source maps of the packages' JavaScript.
package bindings

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Package is an unpacked npm package.
type Package struct {
	dir     string
	Name    string // aws
	Source  string // registry.terraform.io/hashicorp/aws
	Version string // of the provider: 6.25.0
}

// Open opens the package in a folder.
func Open(dir string) (*Package, error) {
	var description struct {
		CDKTF struct {
			Provider struct {
				Name    string `json:"name"`
				Version string `json:"version"`
			} `json:"provider"`
		} `json:"cdktf"`
	}
	data, err := os.ReadFile(filepath.Join(dir, "package.json"))
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(data, &description); err != nil {
		return nil, fmt.Errorf("%s: %w", filepath.Join(dir, "package.json"), err)
	}
	p := &Package{dir: dir, Source: description.CDKTF.Provider.Name, Version: description.CDKTF.Provider.Version}
	if p.Source == "" || p.Version == "" {
		return nil, fmt.Errorf("%s does not say which provider it is of", filepath.Join(dir, "package.json"))
	}
	p.Name = p.Source[strings.LastIndex(p.Source, "/")+1:]
	return p, nil
}

// ErrUnknown: the provider has no such resource or data source.
var ErrUnknown = errors.New("the provider has none of that name")

// source is the TypeScript of a part of the package.
func (p *Package) source(part string) (string, error) {
	path := filepath.Join(p.dir, "lib", part, "index.js")
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("%s: %w", part, ErrUnknown)
	}
	if err != nil {
		return "", err
	}
	_, encoded, found := strings.Cut(string(text), "sourceMappingURL=data:application/json;base64,")
	if !found {
		return "", fmt.Errorf("%s has no source map", path)
	}
	data, err := base64.StdEncoding.DecodeString(strings.TrimSpace(encoded))
	if err != nil {
		return "", fmt.Errorf("the source map of %s: %w", path, err)
	}
	var sources struct {
		Content []string `json:"sourcesContent"`
	}
	if err := json.Unmarshal(data, &sources); err != nil {
		return "", fmt.Errorf("the source map of %s: %w", path, err)
	}
	if len(sources.Content) != 1 {
		return "", fmt.Errorf("the source map of %s has %d sources, not one", path, len(sources.Content))
	}
	return sources.Content[0], nil
}

// folder of a resource or data source: aws_vpc_endpoint is in vpc-endpoint,
// data.aws_subnet in data-aws-subnet.
func (p *Package) folder(kind string, data bool) string {
	name := strings.ReplaceAll(strings.TrimPrefix(kind, p.Name+"_"), "_", "-")
	if data {
		return "data-" + p.Name + "-" + name
	}
	return name
}
