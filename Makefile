# `make demo` and `make test` are all a newcomer needs; `make help` lists the rest.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
CARGO ?= cargo
POLLUX := $(or $(CARGO_TARGET_DIR),target)/release/pollux

.PHONY: help demo test vectors release fmt lint doc loom sanitize bench-lab bench-micro bench-peers bench-qos test-vm test-nic deb test-deb clean

help: ## This list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "%-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: ## The switch at work: two hosts, then two vhost-user ports; no NIC, no hugepages, no file
	@scripts/setup.sh demo
	@$(CARGO) build --release --bin pollux
	@$(POLLUX) demo

release: ## The binary, optimised, in target/release
	@scripts/setup.sh build
	$(CARGO) build --release --bin pollux

test: ## Every test but the long ones: unit, property, model, loom, sanitizers, end to end, two guests
	@scripts/setup.sh test vm
	@scripts/test.sh

vectors: ## What each port sends of each tag, and each priority's class: the tables, row by row, over real ports
	@scripts/setup.sh test
	$(CARGO) nextest run -p pollux --test e2e --no-capture frames_of_every_mode every_priority_and_dscp

loom: ## The FDB's publication protocol under every interleaving
	RUSTFLAGS="--cfg loom" $(CARGO) test --release -p pollux-engine --lib --target-dir target/loom fdb::

sanitize: ## The relay under AddressSanitizer and ThreadSanitizer (needs a nightly toolchain)
	@scripts/sanitize.sh

fmt: ## Formats everything
	$(CARGO) fmt --all

lint: ## What CI refuses: format, clippy, licences and sources, documentation warnings
	@scripts/setup.sh build lint
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets -- -D warnings
	$(CARGO) deny check licenses bans sources
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --workspace --no-deps

doc: ## The API documentation, in target/doc
	@scripts/setup.sh build
	$(CARGO) doc --workspace --no-deps

bench-micro: ## Cycles a packet of each stage and of the FDB
	@scripts/setup.sh build
	$(CARGO) bench -p pollux-engine

bench-peers: release ## Pollux beside testpmd and Open vSwitch, in the same run
	@scripts/setup.sh peers
	$(POLLUX) bench peers

bench-qos: release ## Priorities, shares, rates and their cost, as measured where frames come out
	@scripts/setup.sh qos
	$(POLLUX) bench qos

bench-lab: release ## The standards' tests of Pollux and its peers, in short, and a report in bench-lab/
	@scripts/setup.sh lab
	$(POLLUX) bench lab --short

test-vm: release ## Two guests on vhost-user ports, at length, and a killed switch and migrations beside Open vSwitch
	tests/vm/run.py --long --pollux $(POLLUX)

test-nic: release ## A guest with emulated Intel NICs behind an IOMMU, and Pollux on them
	tests/nic/run.py --pollux $(POLLUX)

deb: release ## The Debian package, in target/debian
	@scripts/setup.sh deb
	@packaging/deb/build.sh $(POLLUX)

test-deb: deb ## Installs, runs, removes and purges that package on a copy of this machine's files, which is thrown away
	@scripts/setup.sh deb
	@packaging/deb/test.sh $$(ls -t $(or $(CARGO_TARGET_DIR),target)/debian/pollux_*.deb | head -1)

clean: ## Removes what was built
	$(CARGO) clean
