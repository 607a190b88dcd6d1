package servertest

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"testing"

	toxiproxy "github.com/Shopify/toxiproxy/v2"
	"github.com/rs/zerolog"
)

// Link is a connection to a server that can be spoilt below HTTP: bytes are
// slowed, held and lost wherever they are, in the middle of a body too.
type Link struct {
	*Server
	t     *testing.T
	proxy *toxiproxy.Proxy
	count int
}

// Direction of the bytes that something is done to.
type Direction string

const (
	Up   Direction = "upstream"   // requests
	Down Direction = "downstream" // answers
)

// Toxic is one thing that is done to the bytes of each connection.
type Toxic struct {
	kind       string
	direction  Direction
	attributes map[string]int64
}

// Latency holds bytes for so many milliseconds, more or less by jitter.
func Latency(d Direction, milliseconds, jitter int64) Toxic {
	return Toxic{"latency", d, map[string]int64{"latency": milliseconds, "jitter": jitter}}
}

// Bandwidth passes at most so many kilobytes a second.
func Bandwidth(d Direction, kilobytes int64) Toxic {
	return Toxic{"bandwidth", d, map[string]int64{"rate": kilobytes}}
}

// Truncate closes each connection, as though it were at its end, after so many
// bytes of it.
func Truncate(d Direction, bytes int64) Toxic {
	return Toxic{"limit_data", d, map[string]int64{"bytes": bytes}}
}

// Reset resets each connection after so many milliseconds, in the middle of
// whatever it carries.
func Reset(d Direction, milliseconds int64) Toxic {
	return Toxic{"reset_peer", d, map[string]int64{"timeout": milliseconds}}
}

// Swallow passes nothing at all, and closes the connection after so many
// milliseconds.
func Swallow(d Direction, milliseconds int64) Toxic {
	return Toxic{"timeout", d, map[string]int64{"timeout": milliseconds}}
}

// Slice cuts bytes into pieces of about that size, so many microseconds apart.
func Slice(d Direction, size, microseconds int64) Toxic {
	return Toxic{"slicer", d, map[string]int64{"average_size": size, "size_variation": size / 2, "delay": microseconds}}
}

func (t Toxic) String() string { return fmt.Sprintf("%s %s %v", t.direction, t.kind, t.attributes) }

// StartLink starts a link to a server, in good order.
func StartLink(t *testing.T, server *Server) *Link {
	t.Helper()
	target, err := url.Parse(server.Endpoint)
	if err != nil {
		t.Fatal(err)
	}
	zerolog.SetGlobalLevel(zerolog.Disabled) // it has loggers that can be had in no other way
	api := toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop())
	proxy := toxiproxy.NewProxy(api, "bucket", "127.0.0.1:0", target.Host)
	if err := proxy.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(proxy.Stop)
	return &Link{
		Server: &Server{Endpoint: target.Scheme + "://" + proxy.Listen, store: server.store},
		t:      t, proxy: proxy,
	}
}

// Spoil does something to each connection from now on, to those that are open
// too, beside what is done already.
func (l *Link) Spoil(toxic Toxic) {
	l.t.Helper()
	l.count++
	document, err := json.Marshal(map[string]any{
		"name": fmt.Sprintf("%s-%d", toxic.kind, l.count), "type": toxic.kind, "stream": string(toxic.direction),
		"toxicity": 1.0, "attributes": toxic.attributes,
	})
	if err == nil {
		_, err = l.proxy.Toxics.AddToxicJson(strings.NewReader(string(document)))
	}
	if err != nil {
		l.t.Fatalf("%v: %v", toxic, err)
	}
}

// Heal ends everything that is done to connections. Those that were held go on.
func (l *Link) Heal() { l.proxy.Toxics.ResetToxics(context.Background()) }
