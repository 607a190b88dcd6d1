// Package providertest is the conformance suite that every provider passes,
// directly and over the plugin bridge. Run is for go test, Check for everything
// else (spotrelay plugin test PATH).
//
// It rents as little as it can, in the cheapest offers, and ends all that it
// rented, also when a case fails. Its instances need not come up: they are given
// the caller's Bootstrap and never have to report.
package providertest
