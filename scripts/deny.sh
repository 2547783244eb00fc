#!/bin/sh
# Checks licences, bans, sources and security advisories of all dependencies with cargo-deny.
#
# The advisory database lives elsewhere. If it cannot be reached the other three are checked all the
# same, and the script says what it left out: no network is no reason to fail, nor to be silent.
set -eu

# The newest release that Rust 1.85 can build.
VERSION=0.18.3
# Seconds to wait for the advisory database.
FETCH_SECONDS=60

if ! cargo deny --version >/dev/null 2>&1; then
    if [ "${CI:-}" != true ]; then
        echo "missing: cargo-deny; get it with: cargo install --locked cargo-deny@$VERSION" >&2
        exit 1
    fi
    echo "cargo-deny is not here: building $VERSION"
    # Unoptimised: it runs for a second, and compiling it with optimisations takes minutes.
    cargo install --locked --debug "cargo-deny@$VERSION"
fi

if timeout "$FETCH_SECONDS" cargo deny fetch db >/dev/null 2>&1; then
    cargo deny check --disable-fetch
else
    echo "note: the advisory database cannot be reached, so advisories are NOT checked in this run"
    cargo deny check licenses bans sources
fi
