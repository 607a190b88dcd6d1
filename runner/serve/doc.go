// Package serve controls every run in a bucket that nobody else does. Any number
// of such controllers share a bucket and know each other by nothing but their
// documents in it (controllers/<id>): each run is taken by the living controller
// that a hash of both names puts first, so that no two need to talk, and by the
// next one when that one does not take it. The run's lease decides; all that is
// here is only who tries it when.
package serve
