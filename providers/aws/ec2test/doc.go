// Package ec2test is an Amazon EC2 of the tests' own: an HTTP server that
// speaks EC2's query protocol and the few JSON services around it, for the
// operations that the AWS provider calls. It is spoken to by the real SDK.
//
// It keeps state as EC2 does: instances are pending, run, are reclaimed with or
// without a notice, end from inside, stay visible as terminated, and are missing
// in listings for a while after their launch. It takes no request that AWS's
// service model does not allow (package model), nor one that is against the
// rules beside the model: signatures, tokens, tags, user data, permissions,
// pages, limits. Whatever it refuses for its form is a Violation, so that a test
// sees it also when the caller swallows the error.
//
// Errors are injected per operation and pool, answers lost after the effect, and
// calls throttled per operation.
//
// With Options.Machines, instances are real processes in namespaces of their
// own: the user data runs as root in a file system of the instance's own, and a
// metadata service answers at 169.254.169.254. An instance that is taken is
// killed, whole.
package ec2test
