#!/bin/sh
# Makes provider.pb.go and provider_grpc.pb.go from provider.proto. Needs Go and
# nothing else: the compiler is ./generate, the two generators are tools of the
# main module, and both go.mod files pin the versions.
set -eu
cd "$(dirname "$0")"
export GOWORK=off
tools=$(mktemp -d)
trap 'rm -rf "$tools"' EXIT
go build -o "$tools/" google.golang.org/protobuf/cmd/protoc-gen-go google.golang.org/grpc/cmd/protoc-gen-go-grpc
(cd generate && go build -mod=readonly -o "$tools/generate" .)
"$tools/generate" . provider.proto "$tools/protoc-gen-go" "$tools/protoc-gen-go-grpc"
