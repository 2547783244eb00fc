#!/bin/sh
# SSE beside WebSocket: `tidings bench transport` of the release build, then what only a browser can
# measure, both into the file that the demo's page shows. Where Node or Chromium are missing it says
# so, and the browser's rows stay as they are. Usage: scripts/bench-transport.sh [--runs N] [--quick]
set -eu

root=$(cd "$(dirname "$0")/.." && pwd)
target=$("$root/scripts/target-dir.sh")
file=$root/web/demo/pages/compare/transport.json
cd "$root"
"$target/release/tidings" bench transport --write web/demo/pages/compare/transport.json "$@"

without() {
    echo "H10 and H12 are not measured anew: $1" >&2
    exit 0
}

for place in "${CHROMIUM:-}" /usr/bin/chromium /usr/bin/chromium-browser /usr/bin/google-chrome; do
    if [ -n "$place" ] && [ -x "$place" ]; then
        WEB_CHROMIUM=$place
        break
    fi
done
[ -n "${WEB_CHROMIUM:-}" ] || without "no Chromium; get it with: apt-get install chromium"
why=$("$root/scripts/node-env.sh" "$root/web" "$target/npm-cache" 2>&1) || without "$why"
WEB_BINARY=$target/release/tidings
export WEB_CHROMIUM WEB_BINARY
cd "$root/web"
node tools/transport-browser.mjs --write "$file" "$@"
