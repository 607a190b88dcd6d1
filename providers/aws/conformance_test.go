package aws

import (
	"testing"
	"time"

	"github.com/spotrelay/spotrelay/providers"
	"github.com/spotrelay/spotrelay/providers/aws/ec2test"
	"github.com/spotrelay/spotrelay/providers/providertest"
)

// TestConformance holds the provider to the contract: by itself, and over the
// plugin bridge, with an EC2 whose listings lag and whose instances take time.
func TestConformance(t *testing.T) {
	for name, through := range map[string]func(*testing.T, *Provider) providers.Provider{
		"direct": func(_ *testing.T, p *Provider) providers.Provider { return p },
		"bridge": func(t *testing.T, p *Provider) providers.Provider { return connect(t, p) },
	} {
		outer := t // connections outlast the suite's own cleanup
		t.Run(name, func(t *testing.T) {
			r := newRig(t, ec2test.Options{
				Boot: 50 * time.Millisecond, ListLag: 100 * time.Millisecond, Ending: 50 * time.Millisecond,
			}, "")
			anew := func(providertest.T) providers.Provider { return through(outer, r.anew()) }
			providertest.Run(t, providertest.Options{
				New: anew, Restart: anew, Fleet: r.fleet, Bootstrap: bootstrap(), Parallel: 3,
				Foreign: func(providertest.T) string {
					request := r.request("foreign", 1, r.offers(providers.Need{}, providers.Spot))
					request.Tags = map[string]string{providers.TagBucket: "b1", "owner": "somebody else"}
					ids := r.launch(request)
					r.visible(ids...)
					return ids[0]
				},
			})
		})
	}
}
