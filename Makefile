# The few commands people type. `make help` lists them.
SHELL := /bin/bash
.DEFAULT_GOAL := help
BIN := bin/rollproof

.PHONY: help build demo test lint bench clean

help: ## list the targets
	@sed -nE 's/^([a-z-]+):.*## (.*)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 22

build: ## build bin/rollproof
	go build -buildvcs=auto -o $(BIN) ./cmd/rollproof

demo: build ## thirty seconds, no Docker: servers replaced under load, gracefully and rudely
	$(BIN) demo

test: lint ## every test that needs no cluster
	go test -race ./...

lint: ## gofmt, go vet, staticcheck
	@unformatted=$$(gofmt -l $$(git ls-files '*.go')); if [ -n "$$unformatted" ]; then echo "gofmt -w these: $$unformatted"; exit 1; fi
	go vet ./...
	go tool staticcheck ./...

bench: ## speed against what there is: ratios of medians of one run
	go test -tags bench -run '^TestBench' -count 1 -timeout 60m -v ./harness/...

clean: ## remove what make made in this folder
	rm -rf bin out
