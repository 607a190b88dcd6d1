package plugins

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"time"

	"github.com/hashicorp/go-hclog"
	goplugin "github.com/hashicorp/go-plugin"
	"github.com/hashicorp/go-plugin/runner"

	"github.com/spotrelay/spotrelay/plugins/bridge"
	"github.com/spotrelay/spotrelay/providers"
)

// session is one life of a plugin's process.
type session struct {
	name     string
	client   *goplugin.Client
	process  *process
	provider *bridge.Client
}

// startSession starts a plugin's process and connects to it. A process that
// ended by itself before that is an errStillborn.
func startSession(source source, log *slog.Logger, timeout time.Duration) (*session, error) {
	command, err := source.command()
	if err != nil {
		return nil, err
	}
	s := &session{name: source.name}
	s.client = goplugin.NewClient(&goplugin.ClientConfig{
		HandshakeConfig:  handshake(),
		VersionedPlugins: pluginSets(nil),
		AllowedProtocols: []goplugin.Protocol{goplugin.ProtocolGRPC},
		AutoMTLS:         true,
		StartTimeout:     timeout,
		Logger:           newHclogger(log),
		SyncStdout:       &lineWriter{log: log},
		SyncStderr:       &lineWriter{log: log},
		SkipHostEnv:      source.offline,
		RunnerFunc: func(_ hclog.Logger, spec *exec.Cmd, socketDir string) (runner.Runner, error) {
			command.Env = spec.Env
			s.process = newProcess(command, log)
			if source.offline {
				takeOffline(command)
			}
			s.process.failed = func() { _ = os.Remove(socketDir) }
			return s.process, nil
		},
	})
	connection, err := s.client.Client()
	if err != nil {
		return nil, s.stillborn(source, err)
	}
	dispensed, err := connection.Dispense(dispensed)
	if err != nil {
		return nil, s.stillborn(source, err)
	}
	provider, ok := dispensed.(*bridge.Client)
	if !ok {
		return nil, s.stillborn(source, fmt.Errorf("it dispensed a %T", dispensed))
	}
	s.provider = provider
	return s, nil
}

// errStillborn marks a start that failed because the process ended or was
// silent, so that trying again may help.
var errStillborn = errors.New("plugin did not come up")

// stillborn explains a start that failed with err and cleans up.
func (s *session) stillborn(source source, err error) error {
	if s.process == nil || s.process.command.Process == nil {
		return &providers.Error{
			Code: providers.CodeConfiguration, Op: "start",
			Message: fmt.Sprintf("plugin %s: start %s: %v", source.name, source.file, err),
			Hint:    "is it an executable for " + platform() + "?",
		}
	}
	_ = s.process.Kill(context.Background())
	s.client.Kill()
	if version, ok := s.process.spoke(); ok && version != ProtocolVersion {
		return &providers.Error{
			Code: providers.CodeConfiguration, Op: "start",
			Message: fmt.Sprintf("plugin %s (%s) speaks version %d of the plugin protocol, this spotrelay speaks version %d",
				source.name, source.file, version, ProtocolVersion),
			Hint: "install the plugin and spotrelay in versions that were made for each other",
		}
	}
	return fmt.Errorf("%w: %w", errStillborn, &providers.Error{
		Code: providers.CodeUnavailable, Op: "start",
		Message: fmt.Sprintf("plugin %s (%s) did not come up: %v", source.name, source.file, err),
		Hint:    s.process.tail.hint(),
	})
}

// kill ends the process at once and waits for its end.
func (s *session) kill() {
	_ = s.process.Kill(context.Background())
	<-s.process.exited
	s.client.Kill() // removes what belonged to it
}

// close ends the process gently and, after the time given, by force.
func (s *session) close(patience time.Duration) {
	timer := time.AfterFunc(patience, func() { _ = s.process.Kill(context.Background()) })
	defer timer.Stop()
	s.client.Kill()
	_ = s.process.Kill(context.Background())
	<-s.process.exited
}
