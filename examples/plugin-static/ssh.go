package main

import (
	"bytes"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
	"golang.org/x/crypto/ssh/knownhosts"

	"github.com/spotrelay/spotrelay/providers"
)

//go:embed host.sh
var hostProgram string

const (
	// dialTimeout is from the dial to the end of the login.
	dialTimeout = 10 * time.Second
	// sessionsPerHost stays below sshd's MaxSessions, 10 by default.
	sessionsPerHost = 8
)

// errUnreachable marks errors of a host that could not be reached, or was lost
// in the middle of a command.
var errUnreachable = errors.New("the host cannot be reached")

// link is the connection to one host, made when it is wanted and kept.
type link struct {
	host  hostConfig
	login login
	slots chan struct{} // bounds the sessions

	mu     sync.Mutex
	client *ssh.Client
}

// login is how one logs in: part of what tells connections apart.
type login struct {
	key, knownHosts string
}

func newLink(host hostConfig, login login) *link {
	return &link{host: host, login: login, slots: make(chan struct{}, sessionsPerHost)}
}

// run runs an operation of host.sh and gives what it printed. Errors: the
// context's, one that is errUnreachable, *providers.Error, *ssh.ExitError.
func (l *link) run(ctx context.Context, input io.Reader, op string, args ...string) (string, error) {
	select {
	case l.slots <- struct{}{}:
		defer func() { <-l.slots }()
	case <-ctx.Done():
		return "", ctx.Err()
	}
	client, fresh, err := l.connect(ctx)
	if err != nil {
		return "", err
	}
	session, err := client.NewSession()
	if err != nil && !fresh { // the old connection is dead
		l.drop(client)
		if client, _, err = l.connect(ctx); err != nil {
			return "", err
		}
		session, err = client.NewSession()
	}
	if err != nil {
		l.drop(client)
		return "", unreachable(l.host, err)
	}
	defer session.Close()
	var stdout, stderr bytes.Buffer
	session.Stdin, session.Stdout, session.Stderr = input, &stdout, &stderr
	ended := make(chan error, 1)
	go func() { ended <- session.Run(commandLine(append([]string{op, l.host.Folder}, args...))) }()
	select {
	case err = <-ended:
	case <-ctx.Done():
		// The connection is what ends a session whose host is gone.
		l.drop(client)
		return "", ctx.Err()
	}
	var exit *ssh.ExitError
	switch {
	case err == nil:
		return stdout.String(), nil
	case errors.As(err, &exit):
		return stdout.String(), &commandError{host: l.host.Name, op: op, status: exit.ExitStatus(), said: strings.TrimSpace(stderr.String())}
	}
	l.drop(client)
	return "", unreachable(l.host, err)
}

// commandError is an operation of host.sh that failed on the host.
type commandError struct {
	host, op string
	status   int
	said     string
}

func (e *commandError) Error() string {
	return fmt.Sprintf("%s on host %s ended with status %d: %s", e.op, e.host, e.status, e.said)
}

func unreachable(h hostConfig, err error) error {
	return fmt.Errorf("%w: %s (%s): %w", errUnreachable, h.Name, h.Address, err)
}

// commandLine is what sshd hands to the login shell, whichever that is.
func commandLine(args []string) string {
	words := append([]string{"exec", "sh", "-c", `PROGRAM=$1; export PROGRAM; shift; exec sh -c "$PROGRAM" sh "$@"`, "sh", hostProgram}, args...)
	for i, word := range words[3:] {
		words[i+3] = quote(word)
	}
	return strings.Join(words, " ")
}

func quote(word string) string { return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'" }

// connect gives the connection, and whether it was made just now.
func (l *link) connect(ctx context.Context) (client *ssh.Client, fresh bool, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.client != nil {
		return l.client, false, nil
	}
	auth, done, err := authentication(l.login.key)
	if err != nil {
		return nil, false, configurationFault(err.Error(), "set key to a private key without a passphrase, or add the key to an SSH agent (SSH_AUTH_SOCK)")
	}
	defer done()
	known, err := knownhosts.New(l.login.knownHosts)
	if err != nil {
		return nil, false, configurationFault(fmt.Sprintf("the hosts' keys cannot be read: %v", err), "write the file, as ssh-keyscan prints it, or set known_hosts")
	}
	identified := false
	settings := &ssh.ClientConfig{
		User: l.host.User, Auth: auth, Timeout: dialTimeout,
		HostKeyAlgorithms: algorithmsOf(known, l.host.Address),
		HostKeyCallback: func(name string, remote net.Addr, key ssh.PublicKey) error {
			err := known(name, remote, key)
			identified = err == nil
			return err
		},
	}
	bounded, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	connection, err := (&net.Dialer{}).DialContext(bounded, "tcp", l.host.Address)
	if err != nil {
		if ctx.Err() != nil {
			return nil, false, ctx.Err()
		}
		return nil, false, unreachable(l.host, err)
	}
	stop := context.AfterFunc(bounded, func() { _ = connection.Close() })
	defer stop()
	handshake, channels, requests, err := ssh.NewClientConn(connection, l.host.Address, settings)
	if err != nil {
		_ = connection.Close()
		if ctx.Err() != nil {
			return nil, false, ctx.Err()
		}
		return nil, false, l.refused(err, identified)
	}
	l.client = ssh.NewClient(handshake, channels, requests)
	return l.client, true, nil
}

func configurationFault(message, hint string) error {
	return &providers.Error{Code: providers.CodeConfiguration, Op: "connect", Message: message, Hint: hint}
}

// drop closes a connection that is of no more use.
func (l *link) drop(client *ssh.Client) {
	l.mu.Lock()
	if l.client == client {
		l.client = nil
	}
	l.mu.Unlock()
	_ = client.Close()
}

// refused tells a host that must not be talked to from one that is away.
// identified is whether it had shown the key that is known of it.
func (l *link) refused(err error, identified bool) error {
	var unknown *knownhosts.KeyError
	var revoked *knownhosts.RevokedError
	var network net.Error
	e := &providers.Error{Code: providers.CodeDenied, Op: "connect", Message: fmt.Sprintf("host %s (%s): %v", l.host.Name, l.host.Address, err)}
	switch {
	case errors.As(err, &revoked):
		e.Hint = "its key is revoked in " + l.login.knownHosts
	case errors.As(err, &unknown) && len(unknown.Want) == 0:
		e.Hint = fmt.Sprintf("it is not in %s; look its key up there and add it, as ssh-keyscan prints it", l.login.knownHosts)
	case errors.As(err, &unknown):
		e.Hint = fmt.Sprintf("its key is not the one in %s: another machine answers at that address, or it was set up anew", l.login.knownHosts)
	case identified && !errors.As(err, &network) && !errors.Is(err, io.EOF) && !errors.Is(err, net.ErrClosed):
		e.Hint = fmt.Sprintf("%s may not log in with the keys at hand; add one to its authorized_keys", l.host.User)
	default:
		return unreachable(l.host, err)
	}
	return e
}

// authentication is by the key in a file, or by those of the SSH agent; done
// ends the use of it.
func authentication(file string) (methods []ssh.AuthMethod, done func(), err error) {
	if file != "" {
		data, err := os.ReadFile(file)
		if err != nil {
			return nil, nil, fmt.Errorf("the private key: %w", err)
		}
		signer, err := ssh.ParsePrivateKey(data)
		if err != nil {
			return nil, nil, fmt.Errorf("the private key %s: %w", file, err)
		}
		return []ssh.AuthMethod{ssh.PublicKeys(signer)}, func() {}, nil
	}
	socket := os.Getenv("SSH_AUTH_SOCK")
	if socket == "" {
		return nil, nil, errors.New("there is no key to log in with: key is not set, and there is no SSH agent")
	}
	connection, err := (&net.Dialer{Timeout: dialTimeout}).Dial("unix", socket)
	if err != nil {
		return nil, nil, fmt.Errorf("the SSH agent: %w", err)
	}
	keys := agent.NewClient(connection)
	return []ssh.AuthMethod{ssh.PublicKeysCallback(keys.Signers)}, func() { _ = connection.Close() }, nil
}

// algorithmsOf are the kinds of keys that are known of a host. Otherwise it may
// show one of its other keys, which nobody has written down.
func algorithmsOf(known ssh.HostKeyCallback, address string) []string {
	var unknown *knownhosts.KeyError
	if !errors.As(known(address, &net.TCPAddr{}, noKey{}), &unknown) {
		return nil
	}
	var algorithms []string
	for _, want := range unknown.Want {
		if kind := want.Key.Type(); kind == ssh.KeyAlgoRSA {
			algorithms = append(algorithms, ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256)
		} else {
			algorithms = append(algorithms, kind)
		}
	}
	slices.Sort(algorithms)
	return slices.Compact(algorithms)
}

// noKey is no host's key.
type noKey struct{}

func (noKey) Type() string                        { return "none" }
func (noKey) Marshal() []byte                     { return []byte("none") }
func (noKey) Verify([]byte, *ssh.Signature) error { return errors.New("no key verifies nothing") }
