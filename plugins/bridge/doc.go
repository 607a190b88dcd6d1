// Package bridge carries a providers.Provider over gRPC: Server offers one,
// Client is one. Both sides map every field by hand, a file a noun; the test
// sends values with every field filled across and compares.
package bridge
