//go:build linux

package local

import (
	"testing"

	"github.com/spotrelay/spotrelay/providers"
	"github.com/spotrelay/spotrelay/providers/providertest"
)

func TestConformance(t *testing.T) {
	for _, isolation := range []string{isolationAuto, isolationGroup} {
		t.Run(isolation, func(t *testing.T) {
			r := newRig(t, `{"max_instances": 20, "isolation": "`+isolation+`"}`)
			anew := func(providertest.T) providers.Provider {
				return New(Options{StateDir: string(r.state)})
			}
			providertest.Run(t, providertest.Options{
				New: anew, Restart: anew, Fleet: r.fleet, Wait: patience,
				Bootstrap: r.request("idle", 1).Bootstrap,
				Foreign: func(providertest.T) string {
					request := r.request("idle", 1)
					request.Tags = map[string]string{"owner": "somebody else"}
					return r.launchRequest(request) // the rig ends it
				},
			})
		})
	}
}
