package plugins

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/hashicorp/go-hclog"
	goplugin "github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"

	"github.com/spotrelay/spotrelay/plugins/bridge"
	"github.com/spotrelay/spotrelay/providers"
)

// Serve offers a provider to the spotrelay that started this process, and
// returns when that one is done with it. It is all that a plugin's main does:
//
//	func main() { plugins.Serve(myprovider.New()) }
//
// It takes the process over. Standard input must be left alone: its end tells
// that spotrelay died, and then the process exits at once. slog's default
// logger writes to standard error, which spotrelay copies into its own log with
// levels and attributes. Interrupts are ignored. Started by a person it prints
// what it is and exits 1.
func Serve(provider providers.Provider) {
	serve(pluginSets(provider))
}

func serve(sets map[int]goplugin.PluginSet) {
	if os.Getenv(cookieKey) != cookieValue {
		fmt.Fprintln(os.Stderr, "This is a provider plugin of spotrelay, which starts it by itself.\n"+
			"Put it on the plugin path as spotrelay-provider-NAME and run: spotrelay plugin lock NAME")
		os.Exit(1)
	}
	slog.SetDefault(slog.New(slog.NewJSONHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug})))
	go exitWithParent(os.Stdin, os.Getenv(goplugin.EnvUnixSocketDir))
	goplugin.Serve(&goplugin.ServeConfig{
		HandshakeConfig:  handshake(),
		VersionedPlugins: sets,
		GRPCServer:       newServer,
		Logger: hclog.New(&hclog.LoggerOptions{
			Level: hclog.Warn, Output: os.Stderr, JSONFormat: true,
		}),
	})
}

func newServer(options []grpc.ServerOption) *grpc.Server {
	return grpc.NewServer(append(options, bridge.ServerOptions()...)...)
}

// exitWithParent ends the process when stdin does. The other end is held open
// by the parent and closed by the kernel, however the parent ends.
func exitWithParent(stdin io.Reader, socketDir string) {
	_, _ = io.Copy(io.Discard, stdin)
	if socketDir != "" {
		removeSockets(socketDir)
	}
	os.Exit(0)
}

// removeSockets removes what go-plugin's client would have removed: the folder
// that our parent made for this process, and the sockets in it.
func removeSockets(dir string) {
	sockets, _ := filepath.Glob(filepath.Join(dir, "plugin*"))
	for _, socket := range sockets {
		info, err := os.Lstat(socket)
		if err == nil && info.Mode().Type() == os.ModeSocket {
			_ = os.Remove(socket)
		}
	}
	_ = os.Remove(dir) // only when empty
}
