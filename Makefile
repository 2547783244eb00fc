# One command for each thing a developer does. CI runs the same commands (.ci/run).

DATA ?= ./tidings-data
LISTEN ?= 127.0.0.1:8080
CARGO ?= cargo

.DEFAULT_GOAL := help
.PHONY: help run web test test-web typescript examples conformance interop demo-llm lint bench bench-transport docs

help: ## Show this list
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-16s %s\n", $$1, $$2}' Makefile

run: ## Build and run a server for development (DATA=./tidings-data LISTEN=127.0.0.1:8080)
	@scripts/need.sh cargo linker
	@scripts/build-web.sh if-possible
	@$(CARGO) build --release --locked --package tidings
	@exec "$$(scripts/target-dir.sh)/release/tidings" dev --data-dir "$(DATA)" --listen "$(LISTEN)"

web: ## Build the web pages (Node 20.19 or newer); the next build of the program takes them up
	@scripts/build-web.sh

test: ## Run every test: the program, the TypeScript packages, the pages in a browser
	@scripts/need.sh cargo linker git
	@scripts/build-web.sh if-possible
	@CARGO="$(CARGO)" scripts/test-rust.sh
	@scripts/typescript.sh
	@scripts/test-web.sh

test-web: ## Run the stories of the web pages in Chromium (CHROMIUM=/usr/bin/chromium)
	@scripts/need.sh cargo linker
	@scripts/build-web.sh
	@$(CARGO) build --locked --package tidings
	@TIDINGS_REQUIRE_BROWSER=1 scripts/test-web.sh

typescript: ## Check, measure and test the TypeScript packages
	@scripts/need.sh cargo linker
	@$(CARGO) build --locked --package tidings
	@TIDINGS_REQUIRE_NODE=1 scripts/typescript.sh

examples: ## Run the examples in a real browser, what is foreign unmodified
	@scripts/need.sh cargo linker
	@$(CARGO) build --locked --package tidings
	@scripts/node-env.sh examples "$$(scripts/target-dir.sh)/npm"
	@cd examples && TIDINGS_REQUIRE_BROWSER=1 npm test

conformance: ## Run the conformance cases with clients of today (writes docs/conformance.md)
	@scripts/need.sh cargo linker
	@$(CARGO) build --locked --package tidings
	@scripts/node-env.sh conformance/matrix "$$(scripts/target-dir.sh)/npm"
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

bench: ## Measure this machine: a workload of `tidings bench`, in a release build (ARGS=fanout)
	@scripts/need.sh cargo linker
	@$(CARGO) build --release --locked --package tidings
	@exec "$$(scripts/target-dir.sh)/release/tidings" bench $(ARGS)

bench-transport: ## SSE beside WebSocket, also in Chromium; writes what the demo's page shows (ARGS='--runs 5')
	@scripts/need.sh cargo linker
	@$(CARGO) build --release --locked --package tidings
	@scripts/bench-transport.sh $(ARGS)

docs: ## Write the pages that are made from the program (docs/cli.md, configuration.md, interop.md)
	@scripts/need.sh cargo linker
	TIDINGS_WRITE_DOCS=1 $(CARGO) test --package tidings --locked --test it -- pages interop::matrix
