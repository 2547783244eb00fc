#!/bin/sh
# Installs exactly the packages of FOLDER/package-lock.json below FOLDER, hashes checked, without
# running what they would run. Does nothing if that was done. Usage: scripts/node-env.sh FOLDER CACHE
set -eu

folder=$1
cache=$2
# The oldest that the packages run on.
LEAST=20

for program in node npm; do
    command -v "$program" >/dev/null 2>&1 || {
        echo "missing: $program; get it with: apt-get install nodejs npm" >&2
        exit 1
    }
done
version=$(node --version)
major=${version#v}
if [ "${major%%.*}" -lt "$LEAST" ]; then
    echo "missing: node $LEAST or newer (this is $version)" >&2
    exit 1
fi
if cmp -s "$folder/package-lock.json" "$folder/node_modules/made-from"; then
    exit 0
fi
mkdir -p "$cache"
npm ci --prefix "$folder" --cache "$cache" --ignore-scripts --no-audit --no-fund --loglevel=error
cp "$folder/package-lock.json" "$folder/node_modules/made-from"
