// Package plugins runs providers as processes of their own. Serve is the whole
// main of a plugin; a Manager finds plugins, verifies their checksums, starts
// them when they are first called, cuts off calls that hang, and starts again
// what crashed. Built-in providers take the same road: the one binary starts
// itself.
//
// Between the two is gRPC (package bridge) over hashicorp/go-plugin: a magic
// cookie, a negotiated protocol version, a Unix socket and mutual TLS with
// certificates made for the one process.
package plugins
