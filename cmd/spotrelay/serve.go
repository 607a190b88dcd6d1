package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"github.com/spf13/cobra"

	"github.com/spotrelay/spotrelay/cmd/spotrelay/internal/metrics"
	"github.com/spotrelay/spotrelay/runner/serve"
)

type serveFlags struct {
	listen string
	most   int
	name   string
}

func (a *app) serveCommand() *cobra.Command {
	var flags serveFlags
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Control every run in the bucket",
		Long: `Takes up whatever runs are submitted to the bucket, and those whose controller is
gone, and carries them to their ends. Any number of such controllers may share a
bucket: each run has one of them at a time, and when one dies its runs move to the
others within two lease times.

It ends on SIGTERM or Ctrl-C and gives its runs up, so that others go on at once.
/healthz, /readyz and /metrics (Prometheus) are served on --listen, by default on
the loopback address alone; nothing can be changed there.`,
		Example: `  spotrelay serve --bucket s3://acme-batch/spotrelay
  spotrelay serve --listen 127.0.0.1:9464 --max-runs 200
  spotrelay submit job.hcl --bucket s3://acme-batch/spotrelay`,
		Args: exact(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if flags.most < 0 {
				return wrongCall("0 is as many as there are", "--max-runs %d cannot be", flags.most)
			}
			return a.serve(cmd.Context(), flags)
		},
	}
	cmd.Flags().StringVar(&flags.listen, "listen", "127.0.0.1:9464", "the `ADDRESS` of the endpoints; none for no endpoints")
	cmd.Flags().IntVar(&flags.most, "max-runs", 0, "control at most so many runs at once (default as many as there are)")
	cmd.Flags().StringVar(&flags.name, "name", whoAmI(), "the controller's name for people")
	cmd.Flags().Lookup("name").DefValue = "" // it is the user's and the host's
	return cmd
}

func (a *app) serve(ctx context.Context, flags serveFlags) error {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	address, err := a.bucketAddress("")
	if err != nil {
		return err
	}
	b, err := openAddress(ctx, address)
	if err != nil {
		return err
	}
	defer b.Close()
	manager, err := a.pluginManager("")
	if err != nil {
		return err
	}
	defer manager.Close()
	log := a.serviceLogger()
	counted := metrics.New(version)
	server := serve.New(serve.Options{
		Bucket: counted.Bucket(b), Providers: manager, Log: log, Name: flags.name, Most: flags.most, Watcher: counted,
	})
	endpoints, err := listenFor(ctx, flags.listen, server, counted)
	if err != nil {
		return err
	}
	log.Info("serves the bucket", "bucket", b.Describe().URL, "controller", server.ID(), "endpoints", endpoints, "version", version)
	go notifySystemd(ctx, server)
	err = server.Serve(ctx)
	log.Info("ends")
	return err
}

// serviceLogger says everything from info on, by SPOTRELAY_LOG less or more; as
// lines of JSON with --json.
func (a *app) serviceLogger() *slog.Logger {
	options := &slog.HandlerOptions{Level: logLevel(slog.LevelInfo)}
	if a.json {
		return slog.New(slog.NewJSONHandler(a.stdout, options))
	}
	return slog.New(slog.NewTextHandler(a.stderr, options))
}

// listenFor serves the endpoints until ctx ends, and is the address they are at.
func listenFor(ctx context.Context, address string, server *serve.Server, counted *metrics.Metrics) (string, error) {
	if address == "none" || address == "" {
		return "none", nil
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return "", wrongCall("name another address by --listen, or none", "the endpoints cannot be served: %w", err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", sayWhether(server.Healthy))
	mux.HandleFunc("GET /readyz", sayWhether(server.Ready))
	mux.Handle("GET /metrics", counted.Handler())
	web := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 30 * time.Second, WriteTimeout: time.Minute}
	go func() {
		<-ctx.Done()
		_ = web.Close()
	}()
	go func() { _ = web.Serve(listener) }()
	return listener.Addr().String(), nil
}

// sayWhether answers 200, or 503 with the reason.
func sayWhether(well func() error) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		if err := well(); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "ok")
	}
}

// notifySystemd tells a service manager, where there is one, when the server is
// ready and that it is well, until ctx ends.
func notifySystemd(ctx context.Context, server *serve.Server) {
	every, _ := daemon.SdWatchdogEnabled(false) // no watchdog is none
	pause := time.Second
	if every > 0 {
		pause = min(pause, every/3)
	}
	ticker := time.NewTicker(pause)
	defer ticker.Stop()
	ready := false
	for {
		if !ready && server.Ready() == nil {
			ready = true
			_, _ = daemon.SdNotify(false, daemon.SdNotifyReady)
		}
		if every > 0 && server.Healthy() == nil {
			_, _ = daemon.SdNotify(false, daemon.SdNotifyWatchdog)
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			_, _ = daemon.SdNotify(false, daemon.SdNotifyStopping)
			return
		}
	}
}
