# What a person does with the project. `make` alone lists it.

GO       ?= go
TOOLS    := $(GO) tool -modfile=hack/tools/go.mod
VERSION  ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
DATA     ?= data
FARMERS  ?= 3
PKGS     ?= ./...
BUILD    := CGO_ENABLED=0 $(GO) build -trimpath -ldflags '-s -w -X github.com/driveshare/downstream-node/internal/program.version=$(VERSION)' -o bin/

.DEFAULT_GOAL := help

##@ Use

.PHONY: run
run: node ## Run a node with its embedded defaults, and a few farmers of its own
	bin/downstream-node standalone --data $(DATA) --demo $(FARMERS)

.PHONY: build
build: node ## Build the programs into bin/, as static binaries
	$(BUILD) ./cmd/downstream-operator ./cmd/kubectl-downstream

.PHONY: node
node:
	$(BUILD) ./cmd/downstream-node

.PHONY: image-archive
image-archive: build ## Make the image as an OCI archive, dist/image.tar, without a builder or a registry
	$(GO) run ./hack/image -name localhost/downstream-node:$(VERSION) -version $(VERSION) -output dist/image.tar

.PHONY: image
image: ## Build the container image (needs docker or a builder that stands in for it)
	docker build --build-arg VERSION=$(VERSION) -t downstream-node:$(VERSION) .

##@ Test

.PHONY: test
test: test-deps ## Install what tests need, then run them all, with the race detector
	$(GO) test -race -timeout 40m $(TESTFLAGS) $(PKGS)

.PHONY: test-deps
test-deps: ## Install the servers that tests run against, where they are missing
	hack/test-deps

.PHONY: test-portable
test-portable: ## Test the proofs without assembly, and build them for machines that have none
	$(GO) test -tags purego $(TESTFLAGS) ./heartbeat/...
	GOOS=linux GOARCH=arm64 $(GO) build ./heartbeat/...
	GOOS=windows GOARCH=amd64 $(GO) build ./heartbeat/...

.PHONY: test-faults
test-faults: test-deps ## Kill, stop, flush and repeat: nothing may be lost or counted twice
	$(GO) test -count=1 -timeout 20m -tags faults -v $(TESTFLAGS) ./test/faults/...

.PHONY: test-browser
test-browser: ## Test the page in Chromium; UPDATE_SCREENSHOTS=1 takes the pictures of docs/screenshots anew
	hack/test-browser $(TESTFLAGS)

.PHONY: e2e
e2e: ## Test the operator on a cluster: LOCALKUBE's, brought up and down, or the current KUBECONFIG's
	hack/e2e $(E2E)

.PHONY: fuzz
fuzz: ## Fuzz every parser of foreign bytes, FUZZTIME each
	hack/fuzz $(or $(FUZZTIME),20s)

.PHONY: bench
bench: ## Measure the proofs: tuned kernels, portable ones and math/big in one run
	$(GO) run ./test/bench/computing $(or $(BENCH),-write docs/benchmarks.md)

.PHONY: bench-e2e
bench-e2e: test-deps ## Measure a node end to end; BENCH='-quick -only singles' for a part of it
	$(GO) run ./test/bench/e2e $(or $(BENCH),-write docs/benchmarks.md)

##@ Develop

.PHONY: generate
generate: ## Make again every file that is made from the code
	$(GO) generate ./...

.PHONY: format
format: ## Format the code
	$(TOOLS) gofumpt -l -w .

.PHONY: lint
lint: ## Check the code's form: gofumpt, go vet, staticcheck
	@unformatted=$$($(TOOLS) gofumpt -l .); test -z "$$unformatted" || { echo "run make format for:"; echo "$$unformatted"; exit 1; }
	$(GO) vet ./...
	$(GO) vet -tags faults,e2e,browser ./test/...
	$(TOOLS) staticcheck ./...

.PHONY: help
help: ## List what make can do
	@awk 'BEGIN {FS = ":.*## "} /^##@/ {printf "\n%s\n", substr($$0, 5)} /^[a-zA-Z0-9_-]+:.*## / {printf "  %-14s %s\n", $$1, $$2}' Makefile
