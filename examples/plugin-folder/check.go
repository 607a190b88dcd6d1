package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"

	"github.com/spotrelay/spotrelay/providers"
)

// parse reads the config block. spotrelay has checked it against the schema; a
// test has not.
func parse(op string, fleet providers.Fleet) (config, error) {
	c := config{Most: 4}
	decoder := json.NewDecoder(bytes.NewReader(fleet.Config))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&c); err != nil {
		return c, failed(providers.CodeConfiguration, op, "the config block: %v", err)
	}
	if !filepath.IsAbs(c.Folder) || c.Most < 1 {
		return c, failed(providers.CodeConfiguration, op, "folder is an absolute path, and most is from 1: %s", fleet.Config)
	}
	return c, nil
}

// Check looks a fleet over without renting anything.
func (p *provider) Check(_ context.Context, fleet providers.Fleet) ([]providers.Fault, error) {
	c, err := parse("check", fleet)
	if err != nil {
		return nil, err
	}
	if info, err := os.Stat(c.Folder); err == nil && info.IsDir() {
		return nil, nil
	}
	return []providers.Fault{{
		Severity: providers.SeverityError, Path: []string{"folder"},
		Summary: c.Folder + " is no folder", Detail: "Make it, or name another one.",
	}}, nil
}
