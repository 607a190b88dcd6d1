// Package transport tunes the HTTP connections that carry objects.
package transport

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"time"
)

const (
	// buffer is that of each connection and direction. The default of 4 KiB
	// makes a system call for each quarter of a TLS record.
	buffer = 128 << 10

	// together is how much is given to a connection and taken from it at once.
	// TLS by itself makes one call or two for each record, of 16 KiB, which
	// cost as much as its encryption. recordExtra is what it adds to that.
	together    = 64 << 10
	recordExtra = 1 << 10

	// idlePerHost is how many connections to the store are kept for the next
	// request: all that an engine has in flight, and the documents' beside them.
	idlePerHost = 64

	dialTimeout = 10 * time.Second
	keepAlive   = 15 * time.Second

	// stall is how long a connection may make no progress in either direction
	// before it is given up. It is short since a notice leaves 30 seconds.
	stall = 20 * time.Second
)

// Tune changes t, whose proxy and TLS settings remain as they are, to carry
// many whole objects at once. HTTP/1.1 it is: Go's HTTP/2 over TLS puts all
// streams on one connection and reaches about half. There is no limit on the
// duration of a request, but a connection that stalls is closed.
func Tune(t *http.Transport) {
	t.Protocols = new(http.Protocols)
	t.Protocols.SetHTTP1(true)
	t.ForceAttemptHTTP2 = false
	t.TLSNextProto = map[string]func(string, *tls.Conn) http.RoundTripper{}
	if t.TLSClientConfig == nil {
		t.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	t.TLSClientConfig.NextProtos = nil
	// Small records at the beginning show the first bytes of a page sooner;
	// here they are a hundred system calls more for each connection.
	t.TLSClientConfig.DynamicRecordSizingDisabled = true
	t.WriteBufferSize = buffer
	t.ReadBufferSize = buffer
	t.MaxIdleConns = 0
	t.MaxIdleConnsPerHost = idlePerHost
	t.MaxConnsPerHost = 0
	t.IdleConnTimeout = stall
	t.DisableCompression = true // objects are read as they are stored
	t.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		return dial(ctx, network, address)
	}
	t.DialTLSContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		return dialTLS(ctx, t, network, address)
	}
}

func dial(ctx context.Context, network, address string) (*guarded, error) {
	dialer := &net.Dialer{Timeout: dialTimeout, KeepAlive: keepAlive}
	conn, err := dialer.DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	return newGuarded(conn), nil
}
