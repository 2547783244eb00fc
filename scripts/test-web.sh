#!/bin/sh
# The stories of the web pages, told in Chromium to the program that cargo has built last. Where
# Node, the pages or Chromium are missing it says so and does nothing, unless
# TIDINGS_REQUIRE_BROWSER=1. Usage: scripts/test-web.sh
set -eu

root=$(cd "$(dirname "$0")/.." && pwd)

skip() {
    if [ "${TIDINGS_REQUIRE_BROWSER:-}" = 1 ]; then
        echo "TIDINGS_REQUIRE_BROWSER=1, but $1" >&2
        exit 1
    fi
    echo "SKIPPED, the web pages were not tested: $1" >&2
    exit 0
}

for place in "${CHROMIUM:-}" /usr/bin/chromium /usr/bin/chromium-browser /usr/bin/google-chrome; do
    if [ -n "$place" ] && [ -x "$place" ]; then
        WEB_CHROMIUM=$place
        break
    fi
done
[ -n "${WEB_CHROMIUM:-}" ] || skip "no Chromium; get it with: apt-get install chromium"
[ -f "$root/web/dist/demo/index.html" ] || skip "they are not built; build them with: make web"
WEB_BINARY=$("$root/scripts/target-dir.sh")/debug/tidings
export WEB_CHROMIUM WEB_BINARY
cd "$root/web"
failed=
for file in tests/*.test.mjs; do
    node --test "$file" && continue
    # A page that got no processor for seconds is not what is tested here; a fault of ours fails twice.
    echo "== failed, run again: $file"
    node --test "$file" || failed="$failed $file"
done
if [ -n "$failed" ]; then
    echo "failed twice:$failed" >&2
    exit 1
fi
