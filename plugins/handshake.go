package plugins

import (
	"context"
	"os"

	goplugin "github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"

	"github.com/spotrelay/spotrelay/plugins/bridge"
	"github.com/spotrelay/spotrelay/providers"
)

// ProtocolVersion of the contract in plugins/proto. It grows when a plugin made
// for the former one would misunderstand; new fields and calls do not count.
const ProtocolVersion = 1

// The magic cookie tells a plugin that spotrelay started it and not a person.
// It is no secret.
const (
	cookieKey   = "SPOTRELAY_PROVIDER_PLUGIN"
	cookieValue = "c8f1b1d1e4a24a6f9a7c5b0a3f7d2e60"
)

func handshake() goplugin.HandshakeConfig {
	return goplugin.HandshakeConfig{
		ProtocolVersion:  ProtocolVersion,
		MagicCookieKey:   cookieKey,
		MagicCookieValue: cookieValue,
	}
}

// dispensed is the name of the one thing that a plugin process offers.
const dispensed = "provider"

// grpcProvider is both ends of the bridge as go-plugin wants them.
type grpcProvider struct {
	goplugin.NetRPCUnsupportedPlugin
	provider providers.Provider // nil at the client's end
}

// GRPCServer implements goplugin.GRPCPlugin. By now go-plugin has read its
// environment, which is none of the business of what the provider starts.
func (p *grpcProvider) GRPCServer(_ *goplugin.GRPCBroker, server *grpc.Server) error {
	for _, variable := range []string{
		cookieKey, "PLUGIN_CLIENT_CERT", "PLUGIN_PROTOCOL_VERSIONS", "PLUGIN_MIN_PORT", "PLUGIN_MAX_PORT",
		goplugin.EnvUnixSocketDir, goplugin.EnvUnixSocketGroup,
	} {
		if err := os.Unsetenv(variable); err != nil {
			return err
		}
	}
	bridge.Register(server, p.provider)
	return nil
}

// GRPCClient implements goplugin.GRPCPlugin.
func (p *grpcProvider) GRPCClient(_ context.Context, _ *goplugin.GRPCBroker, connection *grpc.ClientConn) (any, error) {
	return bridge.NewClient(connection), nil
}

func pluginSets(provider providers.Provider) map[int]goplugin.PluginSet {
	return map[int]goplugin.PluginSet{
		ProtocolVersion: {dispensed: &grpcProvider{provider: provider}},
	}
}
