# The ways to work on spotrelay. `make help` lists them.

GO       ?= go
TOOL     := $(GO) tool -modfile=.ci/tools.mod
VERSION  := $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LDFLAGS  := -s -w -X main.version=$(VERSION)
# Google's library drops its gRPC half by this tag, a third of the agent; spotrelay
# speaks JSON to it.
TAGS     := disable_grpc_modules
GOBUILD  := CGO_ENABLED=0 $(GO) build -trimpath -tags $(TAGS) -ldflags "$(LDFLAGS)"
# Packages tested at once: the end-to-end tests start processes of their own.
PARALLEL ?= 2
TIMEOUT  ?= 15m
FUZZTIME ?= 10s
BENCH    ?= .

.DEFAULT_GOAL := help

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: build
build: ## build bin/spotrelay and bin/spotrelay-agent
	$(GOBUILD) -o bin/ ./cmd/spotrelay ./cmd/spotrelay-agent

.PHONY: demo
demo: build ## run the train example through its preemptions and check its result
	$(GO) run ./examples/train/demo -spotrelay bin/spotrelay

.PHONY: test
test: ## run all tests
	$(GO) test -p $(PARALLEL) -timeout $(TIMEOUT) ./...

.PHONY: test-buckets
test-buckets: ## run the tests against real S3 and GCS servers, built once
	SPOTRELAY_TEST_SERVERS=1 $(GO) test -count=1 -p 1 -timeout $(TIMEOUT) ./checkpointing/bucket/...
	SPOTRELAY_TEST_SERVERS=1 $(GO) test -count=1 -timeout $(TIMEOUT) -run TestStores ./checkpointing
	SPOTRELAY_TEST_SERVERS=1 $(GO) test -count=1 -timeout $(TIMEOUT) -run 'TestServer(Killed|Full)|TestBadLink' ./cmd/spotrelay

.PHONY: race
race: ## run all tests with the race detector
	CGO_ENABLED=1 $(GO) test -race -p $(PARALLEL) -timeout 45m ./...

.PHONY: fuzz
fuzz: ## run every fuzz target for FUZZTIME (10s)
	.ci/fuzz $(FUZZTIME)

.PHONY: soak
soak: ## run the long forms of the tests (SPOTRELAY_SOAK=1)
	SPOTRELAY_SOAK=1 $(GO) test -count=1 -p $(PARALLEL) -timeout 3h ./...

.PHONY: bench
bench: ## run the benchmarks that match BENCH
	$(GO) test -run '^$$' -bench '$(BENCH)' -benchmem -p 1 -timeout 1h ./...

.PHONY: lint
lint: ## check formatting, vet, linters and who imports whom
	.ci/text
	$(TOOL) golangci-lint run --timeout 15m ./...

.PHONY: generate
generate: ## write the generated files anew
	$(GO) generate ./...

.PHONY: verify
verify: ## check that the generated files and the modules are current
	.ci/verify

.PHONY: cross
cross: ## compile for every platform that is supported
	.ci/cross

.PHONY: clean
clean: ## remove what was built
	rm -rf bin
