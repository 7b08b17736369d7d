# Penstock. `make run` shows what it does, `make test` proves it. Both do their own set-up; Go alone has to be there.

VERSION  ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LDFLAGS  := -s -w -X main.version=$(VERSION)
BUILD    := CGO_ENABLED=0 go build -trimpath -ldflags '$(LDFLAGS)'
TOOL     := go tool -modfile=test/tools/go.mod
FUZZTIME ?= 30s
BENCH    ?= .
COUNT    ?= 1
OBJECTS  ?= 1000000
PARTS    ?= peers traced herd ratio scale
IMAGE    ?= penstock:$(VERSION)

# Where the public cache conformance suite is kept; inside the tree and ignored by git.
export CACHE_TESTS_DIR ?= $(CURDIR)/.cache/http-cache-tests

.DEFAULT_GOAL := help
.PHONY: help run demo build test deploy-test check setup lint fuzz bench microbench journey telemetry conformance image image-check tidy-check vuln clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 14

run: demo ## the main job with nothing else installed: sample origins, a gateway, measured levers; stays up until Ctrl-C

demo: build
	@./bin/penstock demo

build: ## bin/penstock, a static binary
	@mkdir -p bin
	$(BUILD) -o bin/penstock ./cmd/penstock

test: setup ## everything: vet, then all tests with the race detector, the conformance suite among them
	go vet ./...
	go test -race -shuffle=on -timeout 20m ./...
	go test -count=1 -run Alloc ./cachepolicy ./compress ./proxy/...  # what allocates nothing: the race detector empties pools at random
	go test -C test/telemetry -count=1 -timeout 5m ./...
	$(MAKE) deploy-test

deploy-test: ## what is in deploy/, against what reads it: Kubernetes, Compose, the OpenTelemetry Collector, Prometheus
	cd test/deploy && go vet ./... && go test -count=1 -timeout 20m ./...

setup: ## what the tests need beside Go; installs what is missing
	@go mod download
	@./test/tools/setup.sh

check: lint ## quick: gofmt, vet, staticcheck, import rules, short tests
	go test -short -skip '^(TestDashboard|TestWriteStoreInACluster|TestFleetKeepsItsPromises)$$' -timeout 5m ./...  # a browser, a cluster, and half a minute of faults

lint:
	@bad=$$(gofmt -l $$(git ls-files --cached --others --exclude-standard '*.go')); \
	  if [ -n "$$bad" ]; then echo "gofmt -w is needed for:"; echo "$$bad"; exit 1; fi
	go vet ./...
	$(TOOL) staticcheck ./...
	go vet -C test/telemetry ./...

fuzz: ## every fuzz target for FUZZTIME (30s) each
	@./test/tools/fuzz.sh $(FUZZTIME)

bench: ## everything that README's figures come from, as Markdown: peers, traces, herd, hit ratios, OBJECTS (1000000) stored objects; PARTS chooses
	@OBJECTS=$(OBJECTS) PARTS="$(PARTS)" ./test/bench/bench.sh $(if $(INSTALL),--install)

microbench: ## Go benchmarks matching BENCH (all), COUNT times
	go test -run '^$$' -bench '$(BENCH)' -benchmem -count $(COUNT) ./...

journey: ## how many functions and files a miss, a pass, a hit, a purge and a reload run through, and the tree's shape
	@go run ./test/journey

telemetry: setup ## a running gateway against the OpenTelemetry Collector's receiver and Prometheus' linter
	go test -C test/telemetry -count 1 ./...

conformance: setup ## the public HTTP cache test suite against the binary of this tree, over HTTP/1.1 and HTTP/2
	go test -count 1 -v ./test/conformance/...

image: ## the container image, for this machine's architecture
	docker build --build-arg VERSION=$(VERSION) -t $(IMAGE) .

image-check: ## what the image build compiles, for both of its architectures, without a container engine
	@mkdir -p dist
	GOOS=linux GOARCH=amd64 $(BUILD) -o dist/penstock-linux-amd64 ./cmd/penstock
	GOOS=linux GOARCH=arm64 $(BUILD) -o dist/penstock-linux-arm64 ./cmd/penstock
	@ls -l dist

tidy-check: ## go.mod and go.sum say exactly what the code needs
	go mod tidy -diff
	cd test/telemetry && go mod tidy -diff
	cd test/deploy && go mod tidy -diff
	go mod verify

vuln: ## known vulnerabilities; asks the Go vulnerability database over the network
	$(TOOL) govulncheck ./...

clean:
	rm -rf bin dist
