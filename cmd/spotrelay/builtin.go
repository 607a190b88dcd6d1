package main

import (
	"context"
	"time"

	"github.com/spotrelay/spotrelay/plugins"
	"github.com/spotrelay/spotrelay/providers"
	"github.com/spotrelay/spotrelay/providers/aws"
	"github.com/spotrelay/spotrelay/providers/gcp"
	"github.com/spotrelay/spotrelay/providers/local"
)

// builtin are the providers that this program serves itself, by name.
var builtin = map[string]func() providers.Provider{
	"gcp":   func() providers.Provider { return gcp.New(gcp.Options{}) },
	"aws":   func() providers.Provider { return aws.New(aws.Options{}) },
	"local": func() providers.Provider { return local.New(local.Options{}) },
}

// pluginManager starts plugins; jobFile says whose lock file is used, "" is the
// user's own.
func (a *app) pluginManager(jobFile string) (*plugins.Manager, error) {
	lockFile, err := plugins.DefaultLockFile(jobFile)
	if err != nil {
		return nil, err
	}
	return plugins.New(plugins.Options{Builtin: sortedKeys(builtin), LockFile: lockFile, Log: a.logger()})
}

// describer asks providers for their descriptions while a job file is read.
func describer(ctx context.Context, manager *plugins.Manager) func(string) (providers.Description, error) {
	return func(name string) (providers.Description, error) {
		ctx, cancel := context.WithTimeout(ctx, time.Minute)
		defer cancel()
		provider, err := manager.Provider(ctx, name)
		if err != nil {
			return providers.Description{}, err
		}
		return provider.Describe(ctx)
	}
}
