#!/bin/sh
# Gets the peers that `tidings bench` compares with, as far as they are not there yet:
#   nchan       nginx with its module, from Debian's packages (needs root; skipped otherwise)
#   axum        a server of a hundred lines, built here
#   sse-stream  a decoder, built here
#   litellm     a proxy for LLM APIs in Python, from the Python package index, every file by its hash
# Run it once; the bench finds them by itself and goes without those that are missing.
set -eu
cd "$(dirname "$0")/peers"

if [ -x /usr/sbin/nginx ] && [ -f /usr/lib/nginx/modules/ngx_nchan_module.so ]; then
    echo "nchan: there"
elif command -v apt-get >/dev/null 2>&1 && [ "$(id -u)" = 0 ]; then
    apt-get update -qq
    # Only the program is wanted: no service may be started on port 80.
    policy=/usr/sbin/policy-rc.d
    if [ ! -e "$policy" ]; then
        printf '#!/bin/sh\nexit 101\n' >"$policy"
        chmod +x "$policy"
        trap 'rm -f "$policy"' EXIT
    fi
    apt-get install -y -qq --no-install-recommends nginx-light libnginx-mod-nchan
    echo "nchan: installed"
else
    echo "nchan: skipped; install the packages nginx-light and libnginx-mod-nchan"
fi

for peer in axum sse-stream; do
    # Their own target folders: the bench looks for them there, wherever Tidings is built.
    (cd "$peer" && cargo build --quiet --release --locked --target-dir target)
    echo "$peer: built"
done

# A folder of its own, and nothing of it runs while it is installed: wheels only.
if [ -x litellm/venv/bin/litellm ]; then
    echo "litellm: there"
elif command -v python3 >/dev/null 2>&1 && python3 -m venv litellm/venv &&
    litellm/venv/bin/pip install --quiet --no-deps --only-binary :all: --require-hashes \
        -r litellm/requirements.txt; then
    echo "litellm: installed"
else
    rm -rf litellm/venv
    echo "litellm: skipped; it needs Python 3.10 to 3.13 with venv, and the package index"
fi
