package plugins_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gofrs/flock"
	"github.com/hashicorp/go-hclog"
	goplugin "github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"

	"github.com/spotrelay/spotrelay/plugins"
	"github.com/spotrelay/spotrelay/providers"
	"github.com/spotrelay/spotrelay/providers/providertest/memory"
)

// The test binary is also the plugin, and the parent that dies.
const (
	parentVariable = "SPOTRELAY_TEST_PARENT" // its value is a script for List
	otherVariable  = "SPOTRELAY_TEST_PROTOCOL"
)

func TestMain(m *testing.M) {
	name := filepath.Base(os.Args[0])
	builtin := len(os.Args) == 4 && os.Args[1] == "plugin" && os.Args[2] == "serve"
	switch {
	case os.Getenv(otherVariable) != "" && strings.HasPrefix(name, "spotrelay-provider-"):
		serveOtherProtocol()
	case builtin || strings.HasPrefix(name, "spotrelay-provider-"):
		plugins.Serve(&scripted{Provider: memory.New()})
	case os.Getenv(parentVariable) != "":
		parent(os.Getenv(parentVariable))
	default:
		os.Exit(m.Run())
	}
}

// script is what a call does, given as the fleet's config.
type script struct {
	Do   string // see act
	File string
}

func fleet(do, file string) providers.Fleet {
	config, err := json.Marshal(script{Do: do, File: file})
	if err != nil {
		panic(err)
	}
	return providers.Fleet{Name: "here", Config: config}
}

// scripted is a provider in memory that misbehaves when told to.
type scripted struct {
	*memory.Provider
	held *flock.Flock
}

func (s *scripted) List(ctx context.Context, fleet providers.Fleet, tags map[string]string) ([]providers.Instance, error) {
	var do script
	if json.Unmarshal(fleet.Config, &do) == nil && do.Do != "" {
		return s.act(ctx, do)
	}
	return s.Provider.List(ctx, fleet, tags)
}

func (s *scripted) Launch(ctx context.Context, fleet providers.Fleet, request providers.LaunchRequest) (providers.LaunchResult, error) {
	var do script
	if json.Unmarshal(fleet.Config, &do) == nil && do.Do != "" {
		_, err := s.act(ctx, do)
		return providers.LaunchResult{}, err
	}
	return s.Provider.Launch(ctx, fleet, request)
}

func (s *scripted) act(ctx context.Context, do script) ([]providers.Instance, error) {
	switch do.Do {
	case "pid":
	case "environment":
		var variables []providers.Instance
		for _, variable := range os.Environ() {
			variables = append(variables, providers.Instance{ID: variable})
		}
		return variables, nil
	case "dial":
		connection, err := net.Dial("tcp", do.File)
		if err != nil {
			return nil, &providers.Error{Code: providers.CodeUnavailable, Op: "list", Message: err.Error()}
		}
		_ = connection.Close()
	case "panic":
		panic("of the plugin's own making")
	case "exit":
		fmt.Println("on standard output")
		slog.Error("about to exit", "status", 3)
		os.Exit(3)
	case "exit-first": // and note each time
		count := note(do.File)
		if count == 1 {
			os.Exit(3)
		}
	case "exit-always":
		note(do.File)
		os.Exit(3)
	case "hang":
		select {}
	case "wait": // as a provider should
		<-ctx.Done()
		return nil, &providers.Error{Code: providers.CodeThrottled, Op: "list", Message: "had to wait too long"}
	case "noise":
		slog.Warn("a warning", "zone", "m1", "bytes", 7)
		fmt.Fprintln(os.Stderr, "moved standard error")
		log := os.NewFile(2, "stderr")
		_, _ = io.Copy(log, io.LimitReader(repeat('x'), 3<<20))
		_, _ = log.WriteString("\nplain words\n")
	case "leave-child": // which holds our standard output and error
		child := exec.Command("sleep", "60")
		child.Stdout, child.Stderr = os.NewFile(1, "stdout"), os.NewFile(2, "stderr")
		if err := child.Start(); err != nil {
			return nil, err
		}
		return []providers.Instance{{ID: strconv.Itoa(child.Process.Pid)}}, nil
	case "hold": // a lock that only the end of the process lets go
		s.held = flock.New(do.File)
		if err := s.held.Lock(); err != nil {
			return nil, err
		}
	}
	return []providers.Instance{{ID: strconv.Itoa(os.Getpid())}}, nil
}

// note appends a byte to file and gives its length.
func note(file string) int64 {
	f, err := os.OpenFile(file, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		panic(err)
	}
	if _, err := f.WriteString("x"); err != nil {
		panic(err)
	}
	info, err := f.Stat()
	if err != nil {
		panic(err)
	}
	return info.Size()
}

type repeat byte

func (r repeat) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = byte(r)
	}
	return len(p), nil
}

// serveOtherProtocol is a plugin from another time.
func serveOtherProtocol() {
	goplugin.Serve(&goplugin.ServeConfig{
		HandshakeConfig: goplugin.HandshakeConfig{
			MagicCookieKey: plugins.CookieKey, MagicCookieValue: plugins.CookieValue,
		},
		VersionedPlugins: map[int]goplugin.PluginSet{7: {"provider": otherPlugin{}}},
		GRPCServer:       goplugin.DefaultGRPCServer,
		Logger:           hclog.NewNullLogger(),
	})
}

type otherPlugin struct {
	goplugin.NetRPCUnsupportedPlugin
}

func (otherPlugin) GRPCServer(*goplugin.GRPCBroker, *grpc.Server) error { return nil }

func (otherPlugin) GRPCClient(context.Context, *goplugin.GRPCBroker, *grpc.ClientConn) (any, error) {
	return nil, errors.New("no client")
}

// parent starts a plugin, says so, and waits for its own end.
func parent(file string) {
	manager, err := plugins.New(plugins.Options{Builtin: []string{"scripted"}, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		panic(err)
	}
	provider, err := manager.Provider(context.Background(), "scripted")
	if err != nil {
		panic(err)
	}
	if _, err := provider.List(context.Background(), fleet("hold", file), nil); err != nil {
		panic(err)
	}
	fmt.Println("holding")
	select {}
}

// startParent starts this binary as a parent whose plugin holds file.
func startParent(t *testing.T, file, temporary string) *exec.Cmd {
	t.Helper()
	command := exec.Command(os.Args[0])
	command.Env = append(os.Environ(), parentVariable+"="+file, "TMPDIR="+temporary)
	command.Stderr = os.Stderr
	stdout, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = command.Process.Kill(); _ = command.Wait() })
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil || line != "holding\n" {
		t.Fatalf("the parent says %q, %v", line, err)
	}
	return command
}

// logged is a log that a test can look into.
type logged struct {
	mu     sync.Mutex
	buffer bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buffer.Write(p)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buffer.String()
}

// manage makes a manager with the built-in provider "scripted" and short times.
func manage(t *testing.T, change func(*plugins.Options)) (*plugins.Manager, *logged) {
	t.Helper()
	log := &logged{}
	options := plugins.Options{
		SelfExe: os.Args[0], Builtin: []string{"scripted"},
		Path: []string{t.TempDir()}, LockFile: filepath.Join(t.TempDir(), "lock.json"),
		Log:          slog.New(slog.NewJSONHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug})),
		RestartDelay: time.Millisecond,
	}
	if change != nil {
		change(&options)
	}
	manager, err := plugins.New(options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(manager.Close)
	return manager, log
}

func scriptedProvider(t *testing.T, manager *plugins.Manager) providers.Provider {
	t.Helper()
	provider, err := manager.Provider(t.Context(), "scripted")
	if err != nil {
		t.Fatal(err)
	}
	return provider
}

// install puts this binary on the plugin path under a plugin's name.
func install(t *testing.T, dir, name string) string {
	t.Helper()
	file := filepath.Join(dir, "spotrelay-provider-"+name)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Link(self, file); err != nil { // another file system
		data, err := os.ReadFile(self)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, data, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return file
}

func wantUnavailable(t *testing.T, err error, words ...string) *providers.Error {
	t.Helper()
	var e *providers.Error
	if !errors.As(err, &e) || e.Code != providers.CodeUnavailable {
		t.Fatalf("the error is %v; want code %q", err, providers.CodeUnavailable)
	}
	for _, word := range words {
		if !strings.Contains(e.Error(), word) {
			t.Errorf("%q does not say %q", e.Error(), word)
		}
	}
	return e
}

// pid of the plugin's process.
func pid(t *testing.T, provider providers.Provider) int {
	t.Helper()
	instances, err := provider.List(t.Context(), fleet("pid", ""), nil)
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.Atoi(instances[0].ID)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// eventually polls until what is asked is true.
func eventually(t *testing.T, what string, ask func() bool) {
	t.Helper()
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	deadline := time.After(20 * time.Second)
	for !ask() {
		select {
		case <-ticker.C:
		case <-deadline:
			t.Fatalf("still waiting after 20 s: %s", what)
		}
	}
}
