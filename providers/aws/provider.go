package aws

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/spotrelay/spotrelay/providers"
)

const (
	name    = "aws"
	version = "1.0.0"

	// tokenWindow: EC2 keeps a client token longer than that; it does not say
	// how long for fleets.
	tokenWindow = time.Hour
	// listLag: what was launched may be missing in Describe calls for a while
	// ("Eventual consistency in the Amazon EC2 API").
	listLag = time.Minute
	// pace leaves most of DescribeInstances's bucket to others.
	pace        = 5 * time.Second
	bootTimeout = 10 * time.Minute
	idleTimeout = time.Minute

	// rememberedEnds is how long this process remembers what it ended, and of what
	// it knew why; EC2 forgets instances within the hour and spot requests in
	// four.
	rememberedEnds = 5 * time.Hour
)

// Options says how the provider works. All of it has a default.
type Options struct {
	// CacheDir keeps on-demand prices; "" is the user's cache folder.
	CacheDir string
	// Log is where warnings go; nil is slog's default.
	Log *slog.Logger
}

// Provider implements providers.Provider, Console and Checker. What it
// remembers is for speed and for better evidence; nothing depends on it.
type Provider struct {
	cacheDir string
	log      *slog.Logger
	pause    time.Duration // the first between two tries of a call
	pace     time.Duration // between two listings

	sessions sessions
	frozen   memory[*frozen]            // launches by fleet and token
	ended    memory[time.Time]          // instances that this process ended
	known    memory[providers.Evidence] // what was known of an end before ours
}

var _ interface {
	providers.Provider
	providers.Console
	providers.Checker
} = (*Provider)(nil)

// New makes the provider. It makes no call and reads no configuration.
func New(options Options) *Provider {
	p := &Provider{cacheDir: options.CacheDir, log: options.Log, pause: firstPause, pace: pace}
	if p.cacheDir == "" {
		if dir, err := os.UserCacheDir(); err == nil {
			p.cacheDir = filepath.Join(dir, "spotrelay", "aws")
		}
	}
	if p.log == nil {
		p.log = slog.Default()
	}
	p.frozen.life = tokenWindow
	p.ended.life, p.known.life = rememberedEnds, rememberedEnds
	return p
}

// Describe implements providers.Provider.
func (p *Provider) Describe(context.Context) (providers.Description, error) {
	return providers.Description{
		Name:         name,
		Version:      version,
		Capabilities: []providers.Capability{providers.CapabilityConsole, providers.CapabilityOnDemand, providers.CapabilityChecks},
		Schema:       schema(),
		TokenWindow:  tokenWindow,
		ListLag:      listLag,
		Notice:       noticeProbe(),
		Leave:        leave(),
		BootTimeout:  bootTimeout,
		IdleTimeout:  idleTimeout,
		Pace:         p.pace,
	}, nil
}

// begin starts a method: its fleet's config and session.
func (p *Provider) begin(ctx context.Context, op string, fleet providers.Fleet) (config, *session, error) {
	if err := ctx.Err(); err != nil {
		return config{}, nil, wrap(op, err)
	}
	c, err := requireConfig(op, fleet)
	if err != nil {
		return c, nil, err
	}
	s, err := p.session(ctx, op, c)
	return c, s, err
}
