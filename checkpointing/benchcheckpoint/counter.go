package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"time"
)

// counter is a proxy in a process of its own: what it takes must not show in
// the peaks of the tools, which begin with this process's.
type counter struct {
	Endpoint string
	command  *exec.Cmd
	in       io.WriteCloser
	say      *json.Encoder
	told     *json.Decoder
}

// startCounter starts a proxy before s.
func startCounter(ctx context.Context, s *server) (*counter, error) {
	command, err := child(ctx, site{CAFile: s.Authority.CAFile}, "proxy")
	if err != nil {
		return nil, err
	}
	command.Args = append(command.Args, s.Endpoint, s.Authority.CertFile, s.Authority.KeyFile, s.Authority.CAFile)
	command.Stderr = os.Stderr
	in, err := command.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := command.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := command.Start(); err != nil {
		return nil, err
	}
	c := &counter{command: command, in: in, say: json.NewEncoder(in), told: json.NewDecoder(out)}
	if err := c.told.Decode(&c.Endpoint); err != nil {
		c.Stop()
		return nil, fmt.Errorf("the counting proxy did not start: %w", err)
	}
	return c, nil
}

// Take is what went through since the last call, and sets the delay of each
// request from now on.
func (c *counter) Take(delay time.Duration) (*traffic, error) {
	if err := c.say.Encode(delay); err != nil {
		return nil, err
	}
	t := new(traffic)
	return t, c.told.Decode(t)
}

// Stop ends the proxy and its connections.
func (c *counter) Stop() {
	_ = c.in.Close()     // it ends by that
	_ = c.command.Wait() // nothing is lost by it
}
