// Package proto is the provider contract on the wire: provider.proto and what
// is generated from it. Package plugins/bridge is the way from and to package
// providers; nothing else uses these types.
package proto

//go:generate ./generate.sh
