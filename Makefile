# The commands of the project. `make` lists them.

GO       ?= go
TOOLS    := $(GO) tool -modfile=$(CURDIR)/hack/tools/go.mod
VERSION  ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
DATA     ?= data
FARMERS  ?= 3
PKGS     ?= ./...
MODULES  := . hack hack/bundle heartbeat/_asm
# The programs of a commit are the same wherever, and from whatever copy of it, they are built.
STATIC   := CGO_ENABLED=0 $(GO) build -trimpath -buildvcs=false -ldflags '-s -w -X github.com/driveshare/downstream-node/internal/program.version=$(VERSION)'
BUILD    := $(STATIC) -o bin/
DIST     ?= dist
PLATFORMS ?= linux/amd64 linux/arm64 darwin/amd64 darwin/arm64 windows/amd64 windows/arm64

.DEFAULT_GOAL := help

##@ Use

.PHONY: run
run: ## Run a node with its embedded defaults and a few farmers
	@echo "Building the node, at first for a few minutes. Each line is a package that the compiler has begun."
	@$(BUILD) -v ./cmd/downstream-node
	bin/downstream-node standalone --data $(DATA) --demo $(FARMERS)

.PHONY: build
build: node ## Build the programs into bin/, as static binaries
	$(BUILD) ./cmd/downstream-operator ./cmd/kubectl-downstream

.PHONY: node
node: ## Build only the node, bin/downstream-node
	$(BUILD) ./cmd/downstream-node

.PHONY: image-archive
image-archive: build ## Make the image as an OCI archive, dist/image.tar, without docker and without a registry
	$(GO) -C hack run ./image -name localhost/downstream-node:$(VERSION) -version $(VERSION)

.PHONY: image
image: ## Build the container image with docker or a compatible builder
	docker build --build-arg VERSION=$(VERSION) -t downstream-node:$(VERSION) .

##@ Release

.PHONY: bundle
bundle: ## Make the bundle for OLM, dist/bundle; VERSION=1.2.3, and BUNDLE='-image REPOSITORY@DIGEST' for another image
	$(GO) -C hack/bundle run . -version $(VERSION) $(BUNDLE)

.PHONY: krew
krew: ## Make the kubectl plugin's archives and manifest for krew, dist/krew; VERSION=1.2.3, and KREW='-uri TEMPLATE'
	rm -rf dist/plugin dist/krew
	for platform in $(PLATFORMS); do GOOS=$${platform%/*} GOARCH=$${platform#*/} $(STATIC) -o dist/plugin/$$platform/ ./cmd/kubectl-downstream || exit 1; done
	$(GO) -C hack run ./krew -version $(VERSION) $(KREW)

# RELEASE is the version without v. An OCI image index has an image for each architecture.
RELEASE := $(VERSION:v%=%)
BUILT   := $(abspath $(DIST))/build
OUT     := $(abspath $(DIST))/release
IMAGES  := $(foreach p,$(filter linux/%,$(PLATFORMS)),-binaries $(BUILT)/$(p)/downstream-node,$(BUILT)/$(p)/downstream-operator)

.PHONY: release
release: export SOURCE_DATE_EPOCH ?= $(shell git log -1 --format=%ct)
release: ## Make all that a release offers, dist/release; VERSION=1.2.3, and PLATFORMS=linux/amd64 for some platforms
	@echo '$(VERSION)' | grep -Eq '^v?[0-9]+\.[0-9]+\.[0-9]+' || { echo 'the version "$(VERSION)" is not a semantic version; write make release VERSION=1.2.3'; exit 1; }
	rm -rf $(BUILT) $(OUT)
	for platform in $(PLATFORMS); do \
		case $$platform in linux/*) operator=./cmd/downstream-operator ;; *) operator= ;; esac; \
		GOOS=$${platform%/*} GOARCH=$${platform#*/} $(STATIC) -o $(BUILT)/$$platform/ ./cmd/downstream-node ./cmd/kubectl-downstream $$operator || exit 1; \
	done
	$(GO) -C hack run ./image -name ghcr.io/driveshare/downstream-node:$(RELEASE) -version $(RELEASE) -output $(OUT)/downstream-node_$(RELEASE)_image.tar $(IMAGES)
	$(GO) -C hack run ./krew -version $(RELEASE) -binaries $(BUILT) -output $(OUT) $(KREW)
	$(GO) -C hack run ./release -version $(RELEASE) -binaries $(BUILT) -output $(OUT)

##@ Test

.PHONY: test
test: test-deps test-go test-hack ## Install what the tests need, then run them all

# The race detector needs its own build of every package that a test imports.
.PHONY: test-go
test-go: ## Run the tests of the product with the race detector; PKGS=./internal/store/ for some
	$(GO) test -race -timeout 40m $(TESTFLAGS) $(PKGS)

# These tests run without the race detector: they render and parse files, start
# programs, and use no goroutines of this project. The detector would build
# Prometheus, kin-openapi and go-containerregistry a second time and find nothing.
.PHONY: test-hack
test-hack: ## Run the tests of the chart, the generators and the tools
	cd hack && $(GO) test -timeout 40m $(TESTFLAGS) ./...
	cd hack/bundle && $(GO) test -timeout 40m $(TESTFLAGS) ./...

.PHONY: test-deps
test-deps: ## Install the servers that the tests need, if they are missing
	hack/test-deps

.PHONY: test-portable
test-portable: ## Test the proofs without assembly, and build them and the programs for other machines
	$(GO) test -tags purego $(TESTFLAGS) ./heartbeat/...
	GOOS=linux GOARCH=arm64 $(GO) build ./heartbeat/...
	GOOS=windows GOARCH=amd64 $(GO) build ./heartbeat/...
	GOOS=windows GOARCH=amd64 $(GO) build ./cmd/downstream-node ./cmd/kubectl-downstream

.PHONY: test-faults
test-faults: test-deps ## Kill and stop processes and servers; no verdict may be lost or counted twice
	$(GO) test -count=1 -timeout 30m -parallel 12 -tags faults -v $(TESTFLAGS) ./test/faults/...

.PHONY: test-clusters
test-clusters: test-deps ## Farm on a Galera cluster, Redis Sentinel and Redis Cluster while their servers fail
	$(GO) test -count=1 -timeout 15m -tags clusters -v $(TESTFLAGS) ./test/faults/...
	$(GO) test -count=1 -timeout 15m -tags clusters -parallel 4 -v $(TESTFLAGS) -run '$(GALERA)' ./internal/store

# These tests of the store have transactions that conflict. With the tag clusters, the
# connections of a store go to three Galera nodes in turn.
GALERA := ^Test(Concurrent(Commits|Expiry|HandOuts|HandOutsInANetwork|Reports|Reservations)|TokensPerIP|TakeTurn|FaultIsAppliedOnce|CopiesUnderConcurrency|LoadWhitelistWhileTokensAreCreated|IPHashKey)$$/^mysql$$

.PHONY: test-attacks
test-attacks: ## Attack a node as strangers could; honest farmers must not notice
	$(GO) test -count=1 -timeout 15m -tags attacks -v $(TESTFLAGS) ./test/attacks/...

.PHONY: test-browser
test-browser: ## Test the page in Chromium; UPDATE_SCREENSHOTS=1 updates docs/screenshots
	hack/test-browser $(TESTFLAGS)

.PHONY: e2e
e2e: ## Test the operator on a cluster: one that LOCALKUBE starts and stops, or the one in KUBECONFIG
	hack/e2e $(E2E)

.PHONY: fuzz
fuzz: ## Fuzz every parser of untrusted input, FUZZTIME each
	hack/fuzz $(or $(FUZZTIME),20s)

.PHONY: bench
bench: ## Measure the proofs: tuned kernels, portable kernels and math/big
	$(GO) run ./test/bench/computing $(or $(BENCH),-write docs/benchmarks.md)

.PHONY: bench-e2e
bench-e2e: test-deps ## Measure a node end to end; BENCH='-quick -only singles' for a part
	$(GO) run ./test/bench/e2e $(or $(BENCH),-write docs/benchmarks.md)

##@ Develop

.PHONY: generate
generate: ## Update all generated files
	$(GO) generate ./...
	cd hack && $(GO) generate ./...

.PHONY: tidy
tidy: ## Tidy the go.mod of every module
	for dir in $(MODULES) hack/tools; do (cd $$dir && $(GO) mod tidy) || exit 1; done

.PHONY: format
format: ## Format the code
	$(TOOLS) gofumpt -l -w . heartbeat/_asm

.PHONY: lint
lint: ## Check every module with gofumpt, go vet and staticcheck
	@unformatted=$$($(TOOLS) gofumpt -l . heartbeat/_asm); test -z "$$unformatted" || { echo "run make format for:"; echo "$$unformatted"; exit 1; }
	for dir in $(MODULES); do (cd $$dir && $(GO) vet ./... && $(TOOLS) staticcheck ./...) || exit 1; done
	$(GO) vet -tags faults,attacks,clusters,e2e ./test/... ./internal/store
	cd hack && $(GO) vet -tags browser ./browser

.PHONY: help
help: ## List the commands
	@awk 'BEGIN {FS = ":.*## "} /^##@/ {printf "\n%s\n", substr($$0, 5)} /^[a-zA-Z0-9_-]+:.*## / {printf "  %-14s %s\n", $$1, $$2}' Makefile
