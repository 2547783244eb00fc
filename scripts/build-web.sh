#!/bin/sh
# Builds the web pages into web/dist, from where the next cargo build puts them into the program.
# Does nothing if they are newer than what they are made of.
#
#   scripts/build-web.sh               fails without Node
#   scripts/build-web.sh if-possible   says so and goes on: the program works without its pages
set -eu

root=$(cd "$(dirname "$0")/.." && pwd)
wish=${1:-}
# What Vite needs.
LEAST_MAJOR=20
LEAST_MINOR=19

without() {
    if [ "$wish" = if-possible ]; then
        echo "the web pages are left out: $1" >&2
        exit 0
    fi
    echo "missing: $1" >&2
    exit 1
}

made=$root/web/dist/demo/index.html
if [ -f "$made" ]; then
    newer=$(find "$root/web" "$root/clients/typescript" \
        \( -name node_modules -o -name dist -o -name tests -o -name test \) -prune \
        -o -type f -newer "$made" -print -quit)
    [ -n "$newer" ] || exit 0
fi

for program in node npm; do
    command -v "$program" >/dev/null 2>&1 || without "$program; get it with: apt-get install nodejs npm"
done
version=$(node --version)
major=${version#v}
minor=${major#*.}
major=${major%%.*}
minor=${minor%%.*}
if [ "$major" -lt $LEAST_MAJOR ] || { [ "$major" -eq $LEAST_MAJOR ] && [ "$minor" -lt $LEAST_MINOR ]; }; then
    without "node $LEAST_MAJOR.$LEAST_MINOR or newer (this is $version)"
fi

cache=$("$root/scripts/target-dir.sh")/npm-cache
"$root/scripts/node-env.sh" "$root/web" "$cache" || without "the packages of web/package-lock.json"
cd "$root/web"
npm run --silent build
