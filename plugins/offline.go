package plugins

import (
	"fmt"
	"os"
	"os/exec"

	"github.com/spotrelay/spotrelay/providers"
)

// Offline is the same plugin in a process of its own that has neither network
// nor credentials, for the suite to see that it describes itself all the same.
// provider is one of this manager. The environment is PATH and the folder for
// temporary files; on Linux, where namespaces may be had, there is no network
// at all, elsewhere proxies that nobody serves.
func (m *Manager) Offline(provider providers.Provider) (providers.Provider, error) {
	r, ok := provider.(*remote)
	if !ok {
		return nil, fmt.Errorf("start a plugin offline: a %T is not of this manager", provider)
	}
	source := r.host.source
	source.name += " (offline)"
	source.offline = true
	if source.lockFile != "" {
		if err := r.host.source.verify(); err != nil {
			return nil, err
		}
		source.trusted = true // the lock file knows it by its own name
	}
	return m.remote(source)
}

// takeOffline leaves a command, whose environment holds go-plugin's variables
// alone, without network and credentials.
func takeOffline(command *exec.Cmd) {
	nowhere := "http://127.0.0.1:1" // nobody serves port 1
	command.Env = append(command.Env,
		"PATH="+os.Getenv("PATH"), "TMPDIR="+os.TempDir(), "HOME=/nonexistent",
		"HTTP_PROXY="+nowhere, "HTTPS_PROXY="+nowhere, "ALL_PROXY="+nowhere)
	cutNetwork(command)
}
