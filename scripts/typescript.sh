#!/bin/sh
# The TypeScript packages (clients/typescript): fetched, checked, built, measured, tested. Where Node
# is missing it says so and does nothing, unless TIDINGS_REQUIRE_NODE=1. Without the program the
# tests that start it are skipped, unless TIDINGS_REQUIRE_NODE=1.
# Usage: scripts/typescript.sh [PROGRAM]      PROGRAM is the binary that the tests start
set -eu

root=$(cd "$(dirname "$0")/.." && pwd)
folder=$root/clients/typescript
target=$("$root/scripts/target-dir.sh")

skip() {
    if [ "${TIDINGS_REQUIRE_NODE:-}" = 1 ]; then
        echo "TIDINGS_REQUIRE_NODE=1, but $1" >&2
        exit 1
    fi
    echo "SKIPPED, the TypeScript packages were not tested: $1" >&2
    exit 0
}

why=$("$root/scripts/node-env.sh" "$folder" "$target/npm" 2>&1) || skip "$why"
TIDINGS_BIN=${1:-$target/debug/tidings}
export TIDINGS_BIN
if [ "${TIDINGS_REQUIRE_NODE:-}" = 1 ] && [ ! -x "$TIDINGS_BIN" ]; then
    skip "there is no program at $TIDINGS_BIN; build it with: cargo build"
fi
cd "$folder"
for step in build check size test; do
    echo "== npm run $step"
    npm run --silent "$step"
done
