package bridge

import (
	"context"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
)

// timeoutKey is the metadata key by which a client tells how long the plugin
// may take. gRPC's own deadline comes later, so that a plugin that keeps to
// this one can still say what went wrong, and one that is silent after both is
// known to hang.
const timeoutKey = "spotrelay-timeout"

// WithTimeout tells the plugin, by the context of a Client's call, to stop after
// so long.
func WithTimeout(ctx context.Context, timeout time.Duration) context.Context {
	return metadata.AppendToOutgoingContext(ctx, timeoutKey, timeout.String())
}

// maxMessage bounds a request in bytes; a launch request is the largest, with
// its environment.
const maxMessage = 64 << 20

// ServerOptions are what a gRPC server that a Server is registered with needs.
func ServerOptions() []grpc.ServerOption {
	return []grpc.ServerOption{
		grpc.MaxRecvMsgSize(maxMessage),
		grpc.ChainUnaryInterceptor(keepTimeout),
	}
}

func keepTimeout(ctx context.Context, request any, _ *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (any, error) {
	for _, text := range metadata.ValueFromIncomingContext(ctx, timeoutKey) {
		if timeout, err := time.ParseDuration(text); err == nil && timeout > 0 {
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeout(ctx, timeout)
			defer cancel()
		}
	}
	return handle(ctx, request)
}
