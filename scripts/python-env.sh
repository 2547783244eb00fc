#!/bin/sh
# Makes a Python environment with exactly the packages of a requirements file, hashes checked.
# Does nothing if it is there already. Usage: scripts/python-env.sh REQUIREMENTS FOLDER [PIP OPTION...]
set -eu

requirements=$1
folder=$2
shift 2

command -v python3 >/dev/null 2>&1 || {
    echo "missing: python3; get it with: apt-get install python3 python3-venv" >&2
    exit 1
}
# What the environment was made from is kept in it.
if cmp -s "$requirements" "$folder/made-from"; then
    exit 0
fi
rm -rf "$folder"
mkdir -p "$folder"
python3 -m venv "$folder"
# The cache lies beside the environment, so that nothing is left outside of the build folder.
"$folder/bin/python" -m pip install --quiet --disable-pip-version-check --require-hashes \
    --cache-dir "$folder/../pip-cache" --requirement "$requirements" "$@"
cp "$requirements" "$folder/made-from"
