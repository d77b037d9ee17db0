# The few commands people type. `make help` lists them.
SHELL := /bin/bash
.DEFAULT_GOAL := help
BIN := bin/rollproof
# Modules of their own with code of ours: ./... of the root module does not reach them.
MODULES := $(sort $(dir $(wildcard fixtures/images/*/main.go fixtures/images/*/*/main.go)))

.PHONY: help build demo docker docker-down cluster cluster-down test test-docker test-kind lint bench clean

help: ## list the targets
	@sed -nE 's/^([a-z-]+):.*## (.*)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 22

build: ## build bin/rollproof
	go build -buildvcs=auto -o $(BIN) ./cmd/rollproof
	CGO_ENABLED=0 go build -buildvcs=auto -o bin/rollproof-oci ./cmd/rollproof-oci

docker: build ## use the Docker engine that answers, or install and start one (root, Debian or Ubuntu)
	$(BIN) docker up

docker-down: build ## stop the Docker engine that make docker started, and no other
	$(BIN) docker down

cluster: docker ## make the cluster of kind-config.yaml, from nothing but this folder if need be
	$(BIN) cluster up

cluster-down: build ## remove the cluster with everything that belongs to it
	$(BIN) cluster down

demo: build ## thirty seconds, no Docker: servers replaced under load, gracefully and rudely
	$(BIN) demo

test: lint ## every test that needs no cluster
	go test -race ./...
	@set -e; for m in $(MODULES); do echo "test $$m"; (cd $$m && go test ./...); done

test-docker: ## the tests that need a Docker engine: images run, are pushed and are pulled by digest
	go test -tags docker -timeout 30m -count 1 ./harness/images

test-kind: build ## the end-to-end tests, on real kind clusters
	go test -tags kind -timeout 30m -count 1 -v ./harness/cluster/...

lint: ## gofmt, go vet, staticcheck
	@unformatted=$$(gofmt -l $$(git ls-files '*.go')); if [ -n "$$unformatted" ]; then echo "gofmt -w these: $$unformatted"; exit 1; fi
	go vet ./...
	go tool staticcheck ./...
	@set -e; check=$$(go tool -n staticcheck); for m in $(MODULES); do echo "lint $$m"; (cd $$m && go vet ./... && $$check ./...); done

bench: ## speed against what there is: ratios of medians of one run
	go test -tags bench -run '^TestBench' -count 1 -timeout 60m -v ./harness/...

clean: ## remove what make made in this folder
	rm -rf bin out
