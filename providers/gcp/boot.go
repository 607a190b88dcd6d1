package gcp

import (
	"strconv"

	"github.com/spotrelay/spotrelay/providers/startup"
)

// startupScript starts the agent. The instance learns its id from the metadata
// service, since a bulk insert gives all of its instances one script.
func (l *launch) startupScript() ([]byte, error) {
	environment := map[string]string{}
	if l.config.notice > 0 {
		environment[varNoticeLead] = strconv.Itoa(int(l.config.notice.Seconds())) + "s"
	}
	return startup.Script(l.request.Bootstrap, startup.Options{
		Metadata:    startup.MetadataGCE,
		Instance:    "{instance/zone}.{instance/name}.{instance/id}",
		Environment: environment,
		BootTimeout: bootTimeout,
		Leave:       leave(),
	})
}
