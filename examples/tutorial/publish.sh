#!/usr/bin/env bash
# Publishes a message a second to the topic that /stream shows.
set -euo pipefail
url=${1:-http://127.0.0.1:8080}
for ((n = 1; ; n++)); do
    curl --silent --show-error --fail "$url/topics/stream" --data "Hello, SSE! ($n)"
    sleep 1
done
