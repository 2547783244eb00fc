#!/usr/bin/env bash
# Every Rust test. The tests start real servers, proxies and browsers beside each other; one that
# fails on a machine that had no processor for it is run once more, alone, and named at the end. What
# fails twice fails the run, and so do more than ten at once, and a test program that dies.
# Usage: scripts/test-rust.sh      CARGO=cargo is the cargo to use
set -uo pipefail
cd "$(dirname "$0")/.."

readonly again_max=10
readonly cargo=${CARGO:-cargo}
log=$(mktemp)
trap 'rm -f "$log"' EXIT

"$cargo" test --workspace --locked --no-fail-fast 2>&1 | tee "$log"
status=${PIPESTATUS[0]}
[ "$status" = 0 ] && exit 0

# A test program that a signal ended may have had more to say.
grep -q "process didn't exit successfully" "$log" && exit "$status"
mapfile -t failed < <(sed -nE 's/^test (.*[^ ]) \.\.\. FAILED$/\1/p' "$log" |
    sed 's/ - should panic$//' | sort -u)
if [ "${#failed[@]}" = 0 ] || [ "${#failed[@]}" -gt "$again_max" ]; then
    exit "$status"
fi

echo "== failed, run again alone: ${failed[*]}"
"$cargo" test --workspace --locked --no-fail-fast -- --exact "${failed[@]}" --test-threads=1 2>&1 |
    tee "$log"
status=${PIPESTATUS[0]}
[ "$status" = 0 ] || exit "$status"
# Names that nothing answers to would pass as well.
passed=$(grep -cE '^test .* \.\.\. ok$' "$log")
if [ "$passed" -lt "${#failed[@]}" ]; then
    echo "run again: ${#failed[@]}, passed: $passed" >&2
    exit 1
fi
printf '== unsteady, passed when alone: %s\n' "${failed[@]}"
