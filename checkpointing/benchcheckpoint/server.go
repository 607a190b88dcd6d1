package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/spotrelay/spotrelay/checkpointing/bucket/servertest"
)

// server is the S3 server, a process of its own over TLS, with its objects as
// files below a folder.
type server struct {
	Endpoint  string
	Authority *servertest.Authority
	client    *http.Transport // trusts it
	objects   string
	command   *exec.Cmd
	said      bytes.Buffer  // on its standard error
	ended     chan struct{} // closed when it has
}

// startServer starts program on a free port of loopback with its files in dir.
func startServer(ctx context.Context, program, dir string) (*server, error) {
	authority, err := servertest.NewAuthority(dir)
	if err != nil {
		return nil, err
	}
	client, err := trusting(authority.CAFile)
	if err != nil {
		return nil, err
	}
	root := filepath.Join(dir, "objects")
	if err := os.MkdirAll(filepath.Join(root, s3Bucket), 0o755); err != nil {
		return nil, err
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	address := listener.Addr().String()
	if err := listener.Close(); err != nil {
		return nil, err
	}
	s := &server{
		Endpoint: "https://" + address, Authority: authority, objects: filepath.Join(root, s3Bucket),
		client: client, ended: make(chan struct{}),
	}
	s.command = exec.CommandContext(ctx, program, "--port", address, "--keep-alive", "--quiet",
		"--cert", authority.CertFile, "--key", authority.KeyFile, "posix", root)
	s.command.Env = append(os.Environ(), "ROOT_ACCESS_KEY="+servertest.AccessKey, "ROOT_SECRET_KEY="+servertest.SecretKey)
	s.command.Stderr = &s.said
	if err := s.command.Start(); err != nil {
		return nil, err
	}
	go func() {
		defer close(s.ended)
		_ = s.command.Wait() // its state tells
	}()
	if err := s.wait(ctx); err != nil {
		s.Stop()
		return nil, fmt.Errorf("the S3 server does not answer: %w", err)
	}
	return s, nil
}

// trusting is a client's transport that trusts the server.
func trusting(caFile string) (*http.Transport, error) {
	pem, err := os.ReadFile(caFile)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(pem)
	return &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}, MaxIdleConnsPerHost: 64,
		WriteBufferSize: 256 * kib, ReadBufferSize: 256 * kib, DisableCompression: true,
	}, nil
}

// wait returns when the server answers.
func (s *server) wait(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, s.Endpoint+"/", nil)
		if err != nil {
			return err
		}
		answer, err := s.client.RoundTrip(r)
		if err == nil {
			return answer.Body.Close()
		}
		select {
		case <-ctx.Done():
			return err
		case <-ticker.C:
		}
	}
}

// Stored is how many bytes the objects of a repository have.
func (s *server) Stored(repo string) (int64, error) {
	var n int64
	err := filepath.WalkDir(filepath.Join(s.objects, repo), func(_ string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		info, err := entry.Info()
		if err == nil {
			n += info.Size()
		}
		return err
	})
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	return n, err
}

// Forget removes the objects of a repository.
func (s *server) Forget(repo string) error { return os.RemoveAll(filepath.Join(s.objects, repo)) }

// watch is a context that ends with the server, which is to outlive it.
func (s *server) watch(ctx context.Context) (context.Context, context.CancelCauseFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	go func() {
		select {
		case <-s.ended:
			cancel(fmt.Errorf("the S3 server ended: %s: %s", s.command.ProcessState, lastBytes(s.said.Bytes())))
		case <-ctx.Done():
		}
	}()
	return ctx, cancel
}

// Stop ends the server.
func (s *server) Stop() {
	_ = s.command.Process.Kill() // an error means that it has ended
	<-s.ended
	s.client.CloseIdleConnections()
}
