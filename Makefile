# One command for each thing a developer does. CI runs the same commands (.ci/run).

DATA ?= ./tidings-data
LISTEN ?= 127.0.0.1:8080
CARGO ?= cargo

.DEFAULT_GOAL := help
.PHONY: help run web test test-web examples conformance interop demo-llm lint bench docs

help: ## Show this list
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' Makefile

run: ## Build and run a server for development (DATA=./tidings-data LISTEN=127.0.0.1:8080)
	@scripts/need.sh cargo linker
	@scripts/build-web.sh if-possible
	@$(CARGO) build --release --locked --package tidings
	@exec "$$(scripts/target-dir.sh)/release/tidings" dev --data-dir "$(DATA)" --listen "$(LISTEN)"

web: ## Build the web pages (Node 20.19 or newer); the next build of the program takes them up
	@scripts/build-web.sh

test: ## Run all tests of the workspace (those of `tidings doctor` take nginx, if it is there)
	@scripts/need.sh cargo linker git
	$(CARGO) test --workspace --locked

test-web: ## Run the stories of the web pages in Chromium (WEB_CHROMIUM=/usr/bin/chromium)
	@scripts/need.sh cargo linker
	@scripts/build-web.sh
	@$(CARGO) build --locked --package tidings
	@cd web && WEB_BINARY="$$(../scripts/target-dir.sh)/debug/tidings" npm test --silent

examples: ## Run the examples in a real browser, what is foreign unmodified
	@scripts/need.sh cargo linker
	@$(CARGO) build --locked --package tidings
	@scripts/node-env.sh examples target/npm
	@cd examples && TIDINGS_REQUIRE_BROWSER=1 npm test

conformance: ## Run the conformance cases with clients of today (writes docs/conformance.md)
	@scripts/need.sh cargo linker
	@$(CARGO) build --locked --package tidings
	@scripts/node-env.sh conformance/matrix target/npm
	@node conformance/matrix/run.mjs --write

interop: ## Run official clients against the relay (WRITE=1 writes docs/interop.md)
	@scripts/need.sh cargo linker
	TIDINGS_REQUIRE_INTEROP=1 $(if $(WRITE),TIDINGS_WRITE_DOCS=1) \
		$(CARGO) test --package tidings --locked --test it interop

demo-llm: ## A small real model behind the relay (LISTEN=127.0.0.1:8080)
	@scripts/need.sh cargo linker
	@$(CARGO) build --release --locked --package tidings
	@exec scripts/demo-llm.sh "$$(scripts/target-dir.sh)/release/tidings" "$(LISTEN)"

lint: ## Check formatting, lints, licences and the rules of the repository
	@scripts/need.sh cargo linker git rustfmt clippy
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --locked -- -D warnings
	$(CARGO) test --package xtask --locked
	@scripts/deny.sh

bench: ## Measure this machine: the workloads of `tidings bench`, in a release build
	@scripts/need.sh cargo linker
	@$(CARGO) build --release --locked --package tidings
	@exec "$$(scripts/target-dir.sh)/release/tidings" bench $(ARGS)

docs: ## Write the pages that are made from the program (docs/cli.md, configuration.md, interop.md)
	@scripts/need.sh cargo linker
	TIDINGS_WRITE_DOCS=1 $(CARGO) test --package tidings --locked --test it -- pages interop::matrix
