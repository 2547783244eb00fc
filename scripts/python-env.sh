#!/bin/sh
# Makes a Python environment with exactly the packages of a requirements file (with hashes), if it
# is not there already, and prints the path of its python. Usage:
# scripts/python-env.sh FILE [PIP OPTION...]
set -eu

LEAST=3.9
root=$(cd "$(dirname "$0")/.." && pwd)
requirements=$1
shift

give_up() {
    echo "no Python environment: $1" >&2
    exit 1
}

command -v python3 >/dev/null 2>&1 ||
    give_up "python3 is missing; get it with: apt-get install python3 python3-venv"
python3 -c "import sys; sys.exit(sys.version_info < tuple(map(int, '$LEAST'.split('.'))))" ||
    give_up "python3 is older than $LEAST"

# Another Python or other requirements are another environment.
name=$({ python3 -VV && cat "$requirements" && echo "$@"; } | cksum | cut -d' ' -f1)
folder="${PYTHON_ENVS:-$root/target/python}"
env="$folder/$name"
if [ ! -x "$env/bin/python" ]; then
    mkdir -p "$folder"
    # Made beside its place, so that one that was cut off in the middle is never used, nor one that
    # somebody else is making at the same time.
    new=$(mktemp -d "$folder/new.XXXXXX")
    trap 'rm -rf "$new"' EXIT
    python3 -m venv "$new/env" >&2 ||
        give_up "venv does not work; get it with: apt-get install python3-venv"
    "$new/env/bin/python" -m pip install --quiet --disable-pip-version-check --no-input \
        --retries 2 --require-hashes --requirement "$requirements" "$@" >&2 ||
        give_up "the packages of $requirements cannot be had; is there a network?"
    [ -d "$env" ] || mv "$new/env" "$env"
fi
# Only python itself: the scripts beside it name the folder that they were made in.
echo "$env/bin/python"
