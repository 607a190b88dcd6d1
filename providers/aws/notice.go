package aws

import (
	"time"

	"github.com/spotrelay/spotrelay/providers"
)

// Addresses and headers of the instance metadata service ("Use the Instance
// Metadata Service to access instance metadata").
const (
	metadataService   = "http://169.254.169.254"
	tokenPath         = "/latest/api/token"
	metaData          = "/latest/meta-data/"
	tokenHeader       = "X-aws-ec2-metadata-token"
	ttlHeader         = "X-aws-ec2-metadata-token-ttl-seconds"
	maintenanceLayout = "2 Jan 2006 15:04:05 GMT"
)

const (
	// noticeInterval is what aws-node-termination-handler asks at. AWS advises
	// every five seconds; of two minutes that would be twice as much lost.
	noticeInterval = 2 * time.Second
	// adviceInterval is for what comes early or seldom.
	adviceInterval = 5 * time.Second
	eventInterval  = 30 * time.Second
)

// noticeProbe is how an agent sees an interruption coming.
func noticeProbe() *providers.NoticeProbe {
	absent := []int{404}
	return &providers.NoticeProbe{
		Metadata: metadataService,
		Token: &providers.TokenRequest{
			Method: "PUT", URL: "{metadata}" + tokenPath,
			Headers: map[string]string{ttlHeader: "21600"},
			Header:  tokenHeader, Life: 6 * time.Hour,
		},
		Sources: []providers.NoticeSource{
			{
				Name: "spot/instance-action", Kind: "interruption",
				URL: "{metadata}" + metaData + "spot/instance-action", Interval: noticeInterval, Absent: absent,
				Match: providers.NoticeMatch{Action: "action", Deadline: "time"},
			},
			{
				Name: "spot/termination-time", Kind: "interruption",
				URL: "{metadata}" + metaData + "spot/termination-time", Interval: adviceInterval, Absent: absent,
				Match: providers.NoticeMatch{TimeText: true},
			},
			{
				Name: "events/recommendations/rebalance", Kind: "rebalance",
				URL: "{metadata}" + metaData + "events/recommendations/rebalance", Interval: adviceInterval, Absent: absent,
			},
			{
				Name: "events/maintenance/scheduled", Kind: "maintenance",
				URL: "{metadata}" + metaData + "events/maintenance/scheduled", Interval: eventInterval, Absent: absent,
				Match: providers.NoticeMatch{
					Array: true, When: "State", In: []string{"active"},
					Action: "Code", Deadline: "NotBefore", DeadlineLayout: maintenanceLayout,
				},
			},
		},
	}
}

// leave is how an instance ends itself: its launch says that what powers off is
// terminated.
func leave() providers.Leave { return providers.Leave{Means: providers.LeavePowerOff} }
