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
SEEDS    ?= 1000
FROM     ?= 1
TASKS    ?= 1000,10000,100000

.DEFAULT_GOAL := help

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

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
	SPOTRELAY_TEST_SERVERS=1 $(GO) test -count=1 -timeout $(TIMEOUT) -run 'TestStores|TestTwoAttempts' ./checkpointing
	SPOTRELAY_TEST_SERVERS=1 $(GO) test -count=1 -timeout $(TIMEOUT) -run 'TestServer(Killed|Full)|TestBadLink' ./cmd/spotrelay

.PHONY: test-plugins
test-plugins: ## run the tests of the example plugins, on real machines too
	.ci/plugins

.PHONY: test-model
test-model: ## compare the extract of AWS's service models with botocore's (apt install python3-botocore)
	SPOTRELAY_TEST_BOTOCORE=1 $(GO) test -count=1 ./providers/aws/ec2test/model

.PHONY: test-cloud
test-cloud: ## rent a few instances on the real cloud: SPOTRELAY_TEST_CLOUD=yes and the rest, see CONTRIBUTING.md
	@[ "$$SPOTRELAY_TEST_CLOUD" = yes ] || { echo 'test-cloud: this rents instances and costs money; CONTRIBUTING.md says how to allow it' >&2; exit 1; }
	$(GO) test -count=1 -v -timeout 1h -run '^TestRealCloud$$' ./providers/aws/...
	[ -z "$$SPOTRELAY_TEST_GCP_PROJECT" ] || $(GO) test -count=1 -v -timeout 1h -run '^TestConformance$$' ./providers/gcp/relaytest

.PHONY: race
race: ## run all tests with the race detector
	CGO_ENABLED=1 $(GO) test -race -p $(PARALLEL) -timeout 45m ./...

.PHONY: fuzz
fuzz: ## run every fuzz target for FUZZTIME (10s)
	.ci/fuzz $(FUZZTIME)

.PHONY: soak
soak: ## run the long forms of the tests (SPOTRELAY_SOAK=1), and simulate SEEDS (1000) runs
	SPOTRELAY_SOAK=1 $(GO) test -count=1 -p $(PARALLEL) -timeout 3h $$($(GO) list ./... | grep -v /runner/sim)
	$(MAKE) sim

.PHONY: sim
sim: ## simulate SEEDS (1000) runs with every fault, from seed FROM (1) on
	$(GO) test -count=1 -timeout 3h -run 'TestSim$$' ./runner/sim -seeds $(SEEDS) -from $(FROM) -v

.PHONY: scale
scale: ## simulate runs of TASKS (1000,10000,100000) tasks on 5,000 instances and print what they cost
	$(GO) test -count=1 -timeout 3h -run 'TestScale$$' ./runner/sim -scale $(TASKS) -v

.PHONY: bench
bench: ## run the benchmarks that match BENCH
	$(GO) test -run '^$$' -bench '$(BENCH)' -benchmem -p 1 -timeout 1h ./...

.PHONY: bench-checkpoint
bench-checkpoint: ## measure checkpoints against rclone, restic, aws, s5cmd, kopia (BENCHFLAGS="-scale 0.1")
	$(GO) run ./checkpointing/benchcheckpoint $(BENCHFLAGS)

.PHONY: bench-dispatch
bench-dispatch: build ## measure short tasks against xargs, GNU parallel and Slurm (BENCHFLAGS="-tasks 2000 -runs 1")
	$(GO) run ./cmd/spotrelay/internal/benchdispatch -spotrelay bin/spotrelay $(BENCHFLAGS)

.PHONY: bench-agent
bench-agent: ## measure the agent: from a notice to the commit, and what copying ahead costs (BENCHFLAGS="-gib 1 -rounds 1")
	SPOTRELAY_TEST_SERVERS=1 $(GO) test -count=1 -timeout 1h -run '^$$' -bench 'Notice|AheadCost' -benchtime 1x ./runner/agent -gib 4 -pairs 20 $(BENCHFLAGS)

.PHONY: terraform-check
terraform-check: ## check the Terraform modules, with terraform and tflint where they are
	.ci/terraform

.PHONY: lint
lint: ## check formatting, vet, linters and who imports whom
	.ci/text
	$(TOOL) golangci-lint run --timeout 15m ./...
	for module in examples/plugin-static examples/plugin-qemu terraform/schemaprovider; do \
		(cd $$module && $(GO) tool -modfile=../../.ci/tools.mod golangci-lint run --timeout 15m ./...) || exit 1; \
	done

.PHONY: generate
generate: ## write the generated files anew
	$(GO) generate ./...

.PHONY: verify
verify: ## check that the generated files and the modules are current
	.ci/verify

.PHONY: cross
cross: ## compile for every platform that is supported
	.ci/cross

.PHONY: vulnerabilities
vulnerabilities: ## look for known vulnerabilities in what is called, where their database can be reached
	.ci/vulnerabilities

.PHONY: release
release: ## build what a release would be into dist/, publish nothing (needs goreleaser and syft)
	goreleaser check
	goreleaser release --snapshot --clean

.PHONY: reproduce
reproduce: ## build twice, in two folders and without caches, and compare the bytes
	.ci/reproduce

.PHONY: clean
clean: ## remove what was built
	rm -rf bin dist .release
