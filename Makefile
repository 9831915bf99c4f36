# Tidegate: the commands of everyday. The work is done by scripts in tests/tools.

.DEFAULT_GOAL := help
.PHONY: help run build test setup conformance bench bench-short attack chaos cluster soak breakages mutants explore profile fuzz autobahn fmt lint msrv tables audit doc ci dist dist-check clean

# Another gateway's binary that `make conformance`, `make bench` and `make attack` compare
# with (empty: none).
PEER ?=

# What `make bench` measures beside the gateways, such as nats-ws,centrifugo=BINARY,bun=BINARY:
# what somebody might take instead (docs/BENCHMARKS.md says how each is got).
BESIDE ?=

# Further arguments of `make run`, `make bench` and `make attack`; ARGS=--help lists them.
ARGS ?=

# Seconds that `make fuzz` spends on each target, and which targets (empty: all).
SECONDS ?= 60
TARGETS ?=

# Seeds of the simulation by which `make breakages` must find each, and which (empty: all).
RUNS ?= 10000
NAMES ?=

# Rounds of `make chaos` and `make cluster`, minutes of `make soak`, and what is drawn in either
# and by `make mutants`.
ROUNDS ?= 100
MINUTES ?= 60
SEED ?= 1

# Mutants that `make mutants` draws by SEED.
COUNT ?= 300

# Length of the sequences that `make explore` tries, with all letters and with those of a theme.
DEPTH ?= 4
THEMES ?= 7

# skip: `make audit` does without the database of advisories.
ADVISORIES ?=

# Parts of `make dist-check` (empty: all but the slow one, `reproducible`).
PARTS ?=

# Cases of the Autobahn testsuite, divided by commas (empty: all).
CASES ?=

help: ## show this list
	@echo "Tidegate, a realtime and REST API gateway for the RES protocol"
	@echo
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 20

run: ## build the gateway and show what it does: `tidegate --demo` (ARGS="--port 9080")
	@tests/tools/run.sh $(ARGS)

build: ## debug build of the gateway and the examples
	cargo build --bins --examples

test: ## all tests: Rust, ResClient in Node, pages in Chromium
	@tests/tools/test.sh

setup: ## install what `make test` and the examples' pages need, as far as possible
	@tests/tools/setup.sh

conformance: ## protocol scenarios against Tidegate, and PEER=binary too; what they cover
	CONFORMANCE_PEER='$(PEER)' cargo test --test conformance -- --nocapture

bench: ## cost beside the floor, PEER=binary and BESIDE=nats-ws,... (ARGS="--rounds 1 fanout")
	@BESIDE='$(BESIDE)' tests/tools/bench.sh '$(PEER)' $(ARGS)

bench-short: ## every benchmark for moments: fails on lost or reordered messages only
	@tests/tools/bench-short.sh

attack: ## every attack, with a client beside that must not notice; PEER=binary too (ARGS=--help)
	@BENCH=attack tests/tools/bench.sh '$(PEER)' $(ARGS)

chaos: ## NATS servers are killed, frozen, parted and cut off, ROUNDS=100 times; clients must not notice
	@tests/tools/chaos.sh chaos '$(ROUNDS)' '$(SEED)'

cluster: ## three gateways on a cluster of three servers; ROUNDS=100 times one of the six goes
	@tests/tools/chaos.sh cluster '$(ROUNDS)' '$(SEED)'

soak: ## a mixed load with outages for MINUTES=60; nothing may grow
	@tests/tools/chaos.sh soak '$(MINUTES)' '$(SEED)'

breakages: ## break the heart on purpose; the simulation must find it within RUNS seeds
	@tests/tools/breakages.sh '$(RUNS)' $(NAMES)

mutants: ## COUNT=300 changes of the source, drawn by SEED=1, each of which a test must notice
	@tests/tools/mutants.sh '$(SEED)' '$(COUNT)'

explore: ## every sequence of up to DEPTH inputs from a small alphabet
	EXPLORE_DEPTH='$(DEPTH)' EXPLORE_THEMES='$(THEMES)' \
		cargo test --profile trial --test explore from_ -- \
		--nocapture --test-threads 1

profile: ## build the gateway for profilers, and say how to take a flame graph
	@tests/tools/profile.sh

fuzz: ## run each fuzz target for SECONDS=60 (TARGETS="a b" for some)
	@tests/tools/fuzz.sh '$(SECONDS)' $(TARGETS)

autobahn: ## the Autobahn testsuite against our WebSocket code (CASES=1.*,2.* for some)
	@tests/tools/autobahn.sh '$(CASES)'

fmt: ## format the source
	cargo fmt --all

lint: ## formatting, clippy and documentation, warnings as errors
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings
	@$(MAKE) --no-print-directory doc

msrv: ## build everything with the oldest Rust that we support
	@tests/tools/msrv.sh

tables: ## write the documents' tables of options and limits anew from the source
	UPDATE_DOCS=1 cargo test --lib -- documents limits::

audit: ## licences, duplicates and advisories of all crates (or ADVISORIES=skip)
	@ADVISORIES='$(ADVISORIES)' tests/tools/audit.sh

doc: ## build the documentation of the library, warnings as errors
	RUSTDOCFLAGS='-D warnings' cargo doc --no-deps

ci: ## what continuous integration runs
	@.ci/run

dist: ## static binary, archive, Debian and RPM package, image, SBOM: target/dist
	@tests/tools/dist.sh

dist-check: ## install, run and remove what `make dist` made (PARTS=reproducible builds it twice)
	@tests/tools/dist-check.sh $(PARTS)

clean: ## remove what was built and downloaded
	cargo clean
	rm -rf .tools artifacts tests/node_modules
