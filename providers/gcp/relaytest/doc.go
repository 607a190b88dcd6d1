// Package relaytest has the end-to-end tests of the GCP provider: the provider
// as a plugin process, and spotrelay itself, against the tests' own Compute
// Engine (package computetest), and against another emulator or the real cloud
// where the environment names one (see cloud_test.go).
package relaytest
