package main

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"

	"github.com/spotrelay/spotrelay/providers"
)

// patience bounds what comes about by itself.
const patience = time.Minute

// rig is a fleet of machines, each an SSH server on this one with a folder of
// its own.
type rig struct {
	t     *testing.T
	dir   string
	user  string
	key   string // the client's, a file
	login ssh.PublicKey
	known []string // lines of known_hosts
	hosts []hostConfig
	agent providers.AgentProgram
}

// newRig makes a rig without hosts.
func newRig(t *testing.T) *rig {
	t.Helper()
	who, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{t: t, dir: t.TempDir(), user: who.Username}
	signer := newKey(t, filepath.Join(r.dir, "id"))
	r.key, r.login = filepath.Join(r.dir, "id"), signer.PublicKey()
	r.writeAgent("#!/bin/sh\necho \"agent of $SPOTRELAY_INSTANCE in $SPOTRELAY_HOME, $GREETING\"\nsleep 1000 &\nexec sleep 1001\n")
	t.Cleanup(r.endAll)
	return r
}

// writeAgent makes a program the agent, in a bucket that is a folder.
func (r *rig) writeAgent(script string) {
	r.t.Helper()
	r.agent = providers.AgentProgram{Key: "agents/agent", SHA256: sha256Hex([]byte(script))}
	path := filepath.Join(r.dir, "bucket", "agents", "agent")
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(script), 0o644)); err != nil {
		r.t.Fatal(err)
	}
}

// endAll ends whatever a test left running on the hosts.
func (r *rig) endAll() {
	for _, h := range r.hosts {
		entries, _ := os.ReadDir(filepath.Join(h.Folder, "instances"))
		for _, entry := range entries {
			out, err := exec.Command("sh", "-c", hostProgram, "sh", "terminate", h.Folder, entry.Name()).CombinedOutput()
			if err != nil {
				r.t.Errorf("ending %s: %v\n%s", entry.Name(), err, out)
			}
		}
	}
}

// newKey makes a key pair, its private half in a file.
func newKey(t *testing.T, file string) ssh.Signer {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(private, "test")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return signer
}

// add makes a host of the server at address.
func (r *rig) add(address string, slots int, key ssh.PublicKey) *hostConfig {
	name := fmt.Sprintf("h%d", len(r.hosts)+1)
	r.known = append(r.known, knownhosts.Line([]string{knownhosts.Normalize(address)}, key))
	r.hosts = append(r.hosts, hostConfig{
		Name: name, Address: address, Slots: slots, Folder: filepath.Join(r.dir, name, ".spotrelay"),
	})
	return &r.hosts[len(r.hosts)-1]
}

// config is the fleet's config block; more is laid over it.
func (r *rig) config(more map[string]any) json.RawMessage {
	r.t.Helper()
	file := filepath.Join(r.dir, "known_hosts")
	if err := os.WriteFile(file, []byte(strings.Join(r.known, "\n")+"\n"), 0o600); err != nil {
		r.t.Fatal(err)
	}
	var blocks []map[string]any
	for _, h := range r.hosts {
		blocks = append(blocks, map[string]any{"name": h.Name, "address": h.Address, "slots": h.Slots, "folder": h.Folder})
	}
	config := map[string]any{"user": r.user, "key": r.key, "known_hosts": file, "host": blocks}
	for name, value := range more {
		config[name] = value
	}
	data, err := json.Marshal(config)
	if err != nil {
		r.t.Fatal(err)
	}
	return data
}

func (r *rig) fleet(more map[string]any) providers.Fleet {
	return providers.Fleet{Name: "lab", Config: r.config(more)}
}

// request for count spot instances on all hosts, in their order.
func (r *rig) request(token string, count int) providers.LaunchRequest {
	request := providers.LaunchRequest{
		Token: token, Count: count, MaxLife: time.Hour,
		Tags: map[string]string{
			providers.TagBucket: "b", providers.TagRun: "r", providers.TagFleet: "lab", providers.TagIntent: token,
		},
		Bootstrap: r.bootstrap(),
	}
	for _, h := range r.hosts {
		request.Offers = append(request.Offers, providers.Offer{Zone: "static", InstanceType: h.Name, Capacity: providers.Spot, Price: 0.01})
	}
	return request
}

func (r *rig) bootstrap() providers.Bootstrap {
	return providers.Bootstrap{
		Bucket: "file://" + filepath.Join(r.dir, "bucket"),
		Agents: map[string]providers.AgentProgram{"linux-amd64": r.agent, "linux-arm64": r.agent},
		Environment: map[string]string{
			"GREETING": `it's "quoted" $HOME`,
		},
	}
}

// sshd starts Debian's server on a port of its own; nil when there is none.
// The in-process server covers the ground then, but for what is sshd's own.
func (r *rig) sshd(slots int) *hostConfig {
	r.t.Helper()
	path, err := exec.LookPath("sshd")
	if err != nil {
		path = "/usr/sbin/sshd"
	}
	if _, err := os.Stat(path); err != nil {
		r.t.Skip("THERE IS NO sshd HERE: install openssh-server; until then only the server in Go is tested against")
	}
	dir := filepath.Join(r.dir, fmt.Sprintf("sshd%d", len(r.hosts)))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		r.t.Fatal(err)
	}
	if os.Geteuid() == 0 {
		_ = os.MkdirAll("/run/sshd", 0o755) // sshd wants it; in a container nobody made it
	}
	hostKey := newKey(r.t, filepath.Join(dir, "host_key"))
	authorized := filepath.Join(dir, "authorized_keys")
	if err := os.WriteFile(authorized, ssh.MarshalAuthorizedKey(r.login), 0o600); err != nil {
		r.t.Fatal(err)
	}
	address := freeAddress(r.t)
	_, port, _ := net.SplitHostPort(address)
	command := exec.Command(path, "-D", "-e", "-f", "/dev/null",
		"-o", "Port="+port, "-o", "ListenAddress=127.0.0.1", "-o", "HostKey="+filepath.Join(dir, "host_key"),
		"-o", "AuthorizedKeysFile="+authorized, "-o", "StrictModes=no", "-o", "UsePAM=no", "-o", "PidFile=none",
		"-o", "PermitRootLogin=prohibit-password", "-o", "PasswordAuthentication=no", "-o", "MaxStartups=100")
	// A file and no buffer: what sshd started keeps a pipe open.
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		r.t.Fatal(err)
	}
	defer log.Close()
	command.Stderr = log
	if err := command.Start(); err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() {
		_ = command.Process.Kill()
		_ = command.Wait()
		if r.t.Failed() {
			said, _ := os.ReadFile(log.Name())
			r.t.Logf("sshd said:\n%s", said)
		}
	})
	waitFor(r.t, "sshd listens", func() bool {
		connection, err := net.Dial("tcp", address)
		if err == nil {
			_ = connection.Close()
		}
		return err == nil
	})
	return r.add(address, slots, hostKey.PublicKey())
}

func freeAddress(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().String()
}

// server is an SSH server in Go that runs commands as sshd does, and can be
// switched off and on again.
type server struct {
	config   *ssh.ServerConfig
	address  string
	mu       sync.Mutex
	listener net.Listener
	open     map[net.Conn]bool
}

func (r *rig) server(slots int) (*server, *hostConfig) {
	r.t.Helper()
	hostKey := newKey(r.t, filepath.Join(r.dir, fmt.Sprintf("server%d", len(r.hosts))))
	s := &server{open: map[net.Conn]bool{}, address: freeAddress(r.t)}
	s.config = &ssh.ServerConfig{PublicKeyCallback: func(_ ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
		if !bytes.Equal(key.Marshal(), r.login.Marshal()) {
			return nil, errors.New("unknown key")
		}
		return &ssh.Permissions{}, nil
	}}
	s.config.AddHostKey(hostKey)
	s.on(r.t)
	r.t.Cleanup(s.off)
	return s, r.add(s.address, slots, hostKey.PublicKey())
}

func (s *server) on(t *testing.T) {
	t.Helper()
	listener, err := net.Listen("tcp", s.address)
	if err != nil {
		t.Fatal(err)
	}
	s.mu.Lock()
	s.listener = listener
	s.mu.Unlock()
	go func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			s.mu.Lock()
			s.open[connection] = true
			s.mu.Unlock()
			go s.serve(connection)
		}
	}()
}

// off cuts all connections and accepts none.
func (s *server) off() {
	s.mu.Lock()
	defer s.mu.Unlock()
	_ = s.listener.Close()
	for connection := range s.open {
		_ = connection.Close()
	}
	clear(s.open)
}

func (s *server) serve(connection net.Conn) {
	defer connection.Close()
	_, channels, requests, err := ssh.NewServerConn(connection, s.config)
	if err != nil {
		return
	}
	go ssh.DiscardRequests(requests)
	for channel := range channels {
		if channel.ChannelType() != "session" {
			_ = channel.Reject(ssh.UnknownChannelType, "sessions only")
			continue
		}
		accepted, requests, err := channel.Accept()
		if err != nil {
			return
		}
		go execute(accepted, requests)
	}
}

// execute runs the one command of a session.
func execute(channel ssh.Channel, requests <-chan *ssh.Request) {
	defer channel.Close()
	for request := range requests {
		if request.Type != "exec" {
			_ = request.Reply(false, nil)
			continue
		}
		var line struct{ Command string }
		if err := ssh.Unmarshal(request.Payload, &line); err != nil {
			return
		}
		_ = request.Reply(true, nil)
		command := exec.Command("sh", "-c", line.Command)
		input, err := command.StdinPipe()
		if err != nil {
			return
		}
		command.Stdout, command.Stderr = channel, channel.Stderr()
		if err := command.Start(); err != nil {
			return
		}
		go func() {
			_, _ = io.Copy(input, channel)
			_ = input.Close()
		}()
		_ = command.Wait()
		status := struct{ Status uint32 }{uint32(command.ProcessState.ExitCode())}
		_, _ = channel.SendRequest("exit-status", false, ssh.Marshal(status))
		return
	}
}

// waitFor waits until a condition holds.
func waitFor(t *testing.T, what string, holds func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for !holds() {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			t.Fatalf("in vain: %s", what)
		}
	}
}

// processes are the commands of living processes of an instance.
func processes(t *testing.T, id string) []string {
	t.Helper()
	entries, err := filepath.Glob("/proc/[0-9]*/environ")
	if err != nil {
		t.Fatal(err)
	}
	var commands []string
	for _, entry := range entries {
		environment, err := os.ReadFile(entry)
		if err != nil || !bytes.Contains(environment, []byte("SPOTRELAY_INSTANCE="+id+"\x00")) {
			continue
		}
		command, _ := os.ReadFile(filepath.Join(filepath.Dir(entry), "cmdline"))
		commands = append(commands, strconv.Quote(string(bytes.ReplaceAll(command, []byte{0}, []byte{' '}))))
	}
	return commands
}
