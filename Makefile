# The few commands people type. `make help` lists them.
SHELL := /bin/bash
.DEFAULT_GOAL := help
BIN := bin/rollproof
# Modules of their own with code of ours: ./... of the root module does not reach them. CoreDNS's is left out: a list of imports, with
# nothing to find but by the compiler, which the image's build runs, and a minute and a half for it.
MODULES := $(sort $(filter-out fixtures/images/node/coredns/,$(dir $(wildcard fixtures/images/*/main.go fixtures/images/*/*/main.go))))

.PHONY: help run demo test smoke teeth build images docker docker-down cluster cluster-down chromium lint \
        test-stores test-docker test-kind bench mutants clean

help: ## list the targets
	@sed -nE 's/^([a-z-]+):.*## (.*)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 22

run: docker ## from a bare machine to a canary promoted when good and aborted when bad, and a report
	$(BIN) run canary/promotes-good canary/aborts-on-errors

demo: build ## thirty seconds, no Docker: servers replaced under load, gracefully and rudely
	$(BIN) demo

# lint has vetted it all: go test would do so once more. Chromium is installed while Go compiles.
test: ## every test that needs no cluster
	@$(MAKE) --no-print-directory -j 2 lint chromium
	go test -vet=off -race -timeout 20m $$(go list ./... | grep -v /suites/conformance)
	go test -vet=off -race -tags browser -count=1 ./reports
	@set -e; for m in $(MODULES); do echo "test $$m"; (cd $$m && go test -vet=off -race ./...); done

smoke: docker ## the scenarios labelled smoke on kind, their planted faults, and what a terminal shows meanwhile
	@trap '$(BIN) cluster down' EXIT; set -ex; $(BIN) run --label smoke --again 2 --keep; $(BIN) teeth --label smoke; \
	  go test -tags kind -run TestTerminalOnACluster -count 1 -timeout 30m ./cmd/rollproof

teeth: docker ## a fault under each check on the real stack: half an hour
	$(BIN) teeth

build: ## build bin/rollproof
	go build -buildvcs=auto -o $(BIN) ./cmd/rollproof
	CGO_ENABLED=0 go build -buildvcs=auto -o bin/rollproof-oci ./cmd/rollproof-oci

images: docker ## build every image that is not there yet
	$(BIN) images build

docker: build ## use the Docker engine that answers, or install and start one (root, Debian or Ubuntu)
	$(BIN) docker up

docker-down: build ## stop the Docker engine that make docker started, and no other
	$(BIN) docker down

cluster: docker ## make the cluster of kind-config.yaml, from nothing but this folder if need be
	$(BIN) cluster up

cluster-down: build ## remove the cluster with everything that belongs to it
	$(BIN) cluster down

# The report is tested in a real browser.
chromium:
	@command -v chromium >/dev/null || command -v chromium-browser >/dev/null || { \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then apt-get -q update >/dev/null && DEBIAN_FRONTEND=noninteractive apt-get -qy install chromium >/dev/null; \
	  else echo "make test needs Chromium to open the report in: install the package chromium"; exit 1; fi; }

test-stores: ## ledgers, the programs of bitvault and the scripts of Redis on real stores: needs Debian's postgresql-15, redis-server and redis-sentinel (root installs them)
	@[ -x /usr/lib/postgresql/15/bin/postgres ] && command -v redis-server redis-sentinel >/dev/null || { \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then apt-get -q update >/dev/null && DEBIAN_FRONTEND=noninteractive apt-get -qy install postgresql-15 redis-server redis-sentinel >/dev/null; \
	  else echo "make test-stores needs Debian's packages postgresql-15, redis-server and redis-sentinel"; exit 1; fi; }
	go test -race -tags stores -count 1 -timeout 20m ./harness/ledger/... ./fixtures/apps/... ./fixtures/stack/redis

test-docker: docker ## the tests that need a Docker engine
	go test -tags docker -count 1 -timeout 20m ./harness/images/... ./harness/docker/...

test-kind: images ## the end-to-end tests on real kind clusters: cluster, stack, disturbances, and runs that do not go to plan
	go test -tags kind -timeout 30m -count 1 -p 1 -v ./harness/site/kind ./fixtures/stack ./cmd/rollproof
	@trap '$(BIN) cluster down --name disrupt-test' EXIT; set -ex; $(BIN) cluster up --name disrupt-test; \
	  export ROLLPROOF_KIND_KUBECONFIG=$$($(BIN) cluster status --name disrupt-test --output json | sed -nE 's/.*"kubeconfig": *"([^"]+)".*/\1/p'); \
	  go test -tags kind -timeout 30m -count 1 -v ./harness/disrupt

# Everything is compiled with -race, as the tests are, and the modules of their own use the root's versions of what both import: a bare
# machine compiles each dependency once. The tags are those of tests that run only when asked.
lint: ## gofmt, go vet, staticcheck
	@unformatted=$$(gofmt -l $$(git ls-files '*.go')); if [ -n "$$unformatted" ]; then echo "gofmt -w these: $$unformatted"; exit 1; fi
	@set -e; check=$$(go tool -n staticcheck); export GOFLAGS="-race -tags=bench,browser,docker,kind,netns,stores"; \
	  for m in ./ $(MODULES); do echo "lint $$m"; (cd $$m && go vet ./... && $$check ./...); done

bench: ## speed against what there is: ratios of medians of one run; leave the machine alone meanwhile
	go test -tags bench -run '^TestBench' -count 1 -timeout 60m -p 1 -v ./harness/...
	ROLLPROOF_BENCH_HITS=10000000 go test -tags bench -run xxx -bench Report -benchtime 1x ./reports

SEED := 1
mutants: ## what the tests of judges, load and record are worth: 300 changed conditions and bounds, of which 95 % must be seen; SEED=n draws others
	go run ./cmd/mutants -n 300 -seed $(SEED)

clean: ## remove what make made in this folder
	rm -rf bin out
