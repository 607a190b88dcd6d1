// Package computetest is a Compute Engine of the tests' own: an HTTP server
// that speaks the parts of Compute's REST, and of the billing catalogue's, that
// spotrelay uses. The client libraries and the provider are pointed at it by
// their endpoint and run unchanged.
//
// It keeps state: operations take their time, instances are provisioned,
// staged, running, stopping and gone, a preempted one with the action DELETE is
// 404 while the operation that tells of it stays. Every request is checked
// against the service's discovery document (package discovery) and against
// Compute's rules as its reference states them; a request that breaks one is
// answered as Compute does and fails the test. Every answer is checked against
// the same document, so the server cannot invent a Compute of its own.
//
// With Options.Machines, instances are real processes: each runs its startup
// script in namespaces of its own, with a metadata server of its own, and is
// killed whole when it is taken.
//
// What Compute does was taken from its REST reference and, where that is
// silent, from the table of operation types and errors in the design notes.
// Where it is ambiguous the server behaves in the way that is harder for a
// client, and says so where it does.
package computetest
