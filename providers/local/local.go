// Package local is the provider that rents nothing: an instance is an isolated
// process tree on this machine, with the real agent as its first process.
//
// Each instance has a folder and a small supervisor process of its own, which
// serves its metadata as EC2 does, plays its market (notices, reclaims,
// accidents, as the fleet's config block scripts them) and outlives the plugin
// and the controller, as a VM does. The provider finds instances again from
// their folders; nothing is kept in memory that a restart would lose.
//
// An instance is alive exactly as long as its supervisor holds the lock file
// in its folder: the launcher takes the lock before the folder gets its name
// and hands it over, and the kernel gives it up with the last holder. So no
// crash, at whatever moment, leaves an instance whose state is in doubt.
package local

import (
	"context"
	"time"

	"github.com/spotrelay/spotrelay/providers"
)

const (
	name    = "local"
	version = "1.0.0"

	tokenWindow = 24 * time.Hour
	pace        = 50 * time.Millisecond
	bootTimeout = 30 * time.Second
	idleTimeout = 2 * time.Second
)

// Options says how the provider works on this machine.
type Options struct {
	// StateDir holds the instances' folders. Default: $SPOTRELAY_LOCAL_DIR,
	// else $XDG_STATE_HOME/spotrelay/local, else ~/.local/state/spotrelay/local.
	StateDir string
	// Exe is the program that is started again as an instance's supervisor; its
	// main calls IsStage and RunStage first thing. Default: this program.
	Exe string
}

// Describe implements providers.Provider.
func (p *Provider) Describe(context.Context) (providers.Description, error) {
	return providers.Description{
		Name:    name,
		Version: version,
		Capabilities: []providers.Capability{
			providers.CapabilityConsole, providers.CapabilityPreempt, providers.CapabilityOnDemand,
		},
		Schema:      schema(),
		TokenWindow: tokenWindow,
		Notice:      noticeProbe(),
		Leave:       providers.Leave{Means: providers.LeaveExit},
		BootTimeout: bootTimeout,
		IdleTimeout: idleTimeout,
		Pace:        pace,
	}, nil
}

// noticeProbe is EC2's metadata service as data, looked at more often: asking
// this machine costs nothing.
func noticeProbe() *providers.NoticeProbe {
	const interval = 250 * time.Millisecond
	return &providers.NoticeProbe{
		Metadata: linkLocalMetadata,
		Token: &providers.TokenRequest{
			Method:  "PUT",
			URL:     "{metadata}" + tokenPath,
			Headers: map[string]string{ttlHeader: "21600"},
			Header:  tokenHeader,
			Life:    6 * time.Hour,
		},
		Sources: []providers.NoticeSource{
			{
				Name: "spot/instance-action", Kind: "interruption",
				URL: "{metadata}" + metaData + "spot/instance-action", Interval: interval, Absent: []int{404},
				Match: providers.NoticeMatch{Action: "action", Deadline: "time"},
			},
			{
				Name: "events/maintenance/scheduled", Kind: "maintenance",
				URL: "{metadata}" + metaData + "events/maintenance/scheduled", Interval: 4 * interval, Absent: []int{404},
				Match: providers.NoticeMatch{
					Array: true, When: "State", In: []string{"active"},
					Action: "Code", Deadline: "NotBefore", DeadlineLayout: maintenanceLayout,
				},
			},
			{
				Name: "events/recommendations/rebalance", Kind: "rebalance",
				URL: "{metadata}" + metaData + "events/recommendations/rebalance", Interval: 4 * interval, Absent: []int{404},
			},
		},
	}
}

// Addresses and headers of the metadata service, as EC2 has them.
const (
	linkLocalMetadata = "http://169.254.169.254"
	tokenPath         = "/latest/api/token"
	metaData          = "/latest/meta-data/"
	tokenHeader       = "X-aws-ec2-metadata-token"
	ttlHeader         = "X-aws-ec2-metadata-token-ttl-seconds"
	maintenanceLayout = "2 Jan 2006 15:04:05 GMT"
)

// fault is a provider error of this package.
func fault(op string, code providers.Code, message, hint string) *providers.Error {
	return &providers.Error{Code: code, Op: op, Message: message, Hint: hint}
}
