package gcp

import (
	"context"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/spotrelay/spotrelay/providers"
)

const (
	name    = "gcp"
	version = "1.0.0"

	// tokenWindow is how long a launch may be repeated. Compute promises no
	// time for its request ids; Google's guideline for them (AIP-155) and its
	// newer APIs say 60 minutes.
	tokenWindow = time.Hour
	// listLag is generous: Compute's listings within a zone are consistent.
	listLag     = 10 * time.Second
	pace        = 2 * time.Second
	bootTimeout = 5 * time.Minute
)

// Options says how the provider works on this machine. The zero value is fine.
type Options struct {
	// CacheDir keeps prices between processes. Default: the user's cache
	// folder, spotrelay/gcp below it; without one nothing is kept.
	CacheDir string
	// Pace is the shortest time between two listings; 0: two seconds.
	Pace time.Duration
	// Rates bounds the calls; zero fields are what Compute's quotas allow.
	Rates Rates
}

// Provider implements providers.Provider, Console, Preempter and Checker.
type Provider struct {
	options Options

	mu      sync.Mutex
	clouds  map[cloudKey]*cloud
	catalog map[string]priceList // by region
}

// New makes the provider. It touches nothing.
func New(options Options) *Provider {
	if options.CacheDir == "" {
		if dir, err := os.UserCacheDir(); err == nil {
			options.CacheDir = filepath.Join(dir, "spotrelay", "gcp")
		}
	}
	if options.Pace == 0 {
		options.Pace = pace
	}
	options.Rates = options.Rates.withDefaults()
	return &Provider{options: options, clouds: map[cloudKey]*cloud{}, catalog: map[string]priceList{}}
}

// Describe implements providers.Provider.
func (p *Provider) Describe(context.Context) (providers.Description, error) {
	return providers.Description{
		Name:    name,
		Version: version,
		Capabilities: []providers.Capability{
			providers.CapabilityConsole, providers.CapabilityPreempt, providers.CapabilityOnDemand, providers.CapabilityChecks,
		},
		Schema:      schema(),
		TokenWindow: tokenWindow,
		ListLag:     listLag,
		Notice:      noticeProbe(),
		Leave:       leave(),
		BootTimeout: bootTimeout,
		Pace:        p.options.Pace,
	}, nil
}

// fault is a provider error of this package.
func fault(op string, code providers.Code, message, hint string) *providers.Error {
	return &providers.Error{Code: code, Op: op, Message: message, Hint: hint}
}
