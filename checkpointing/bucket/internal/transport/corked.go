package transport

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"sync"
)

// corked is a TLS connection that hands on what one Write makes together. TLS
// by itself makes a system call for each of its records, of 16 KiB, and wakes
// the other side for each.
type corked struct {
	*tls.Conn
	under *guarded
}

// dialTLS dials and shakes hands as t would.
func dialTLS(ctx context.Context, t *http.Transport, network, address string) (net.Conn, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	conn, err := dial(ctx, network, address)
	if err != nil {
		return nil, err
	}
	settings := t.TLSClientConfig.Clone()
	if settings.ServerName == "" {
		settings.ServerName = host
	}
	c := &corked{tls.Client(conn, settings), conn}
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	if err := c.HandshakeContext(ctx); err != nil {
		conn.Close()
		return nil, err
	}
	return c, nil
}

// Write sends all of p before it returns.
func (c *corked) Write(p []byte) (int, error) {
	c.under.cork()
	n, err := c.Conn.Write(p)
	if sendErr := c.under.uncork(); err == nil && sendErr != nil {
		return 0, sendErr
	}
	return n, err
}

var bodies = sync.Pool{New: func() any { return new([together]byte) }}

// ReadFrom sends a body as large pieces as it gives.
func (c *corked) ReadFrom(r io.Reader) (sent int64, err error) {
	room := bodies.Get().(*[together]byte) // the pool holds nothing else
	defer bodies.Put(room)
	for {
		n, err := r.Read(room[:])
		if n > 0 {
			wrote, writeErr := c.Write(room[:n])
			sent += int64(wrote)
			if writeErr != nil {
				return sent, writeErr
			}
		}
		if err == io.EOF {
			return sent, nil
		}
		if err != nil {
			return sent, err
		}
	}
}
