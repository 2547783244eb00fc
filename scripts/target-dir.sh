#!/bin/sh
# Prints the folder that cargo builds into, which a developer may have moved.
set -eu
cargo metadata --no-deps --format-version 1 | sed -n 's/.*"target_directory":"\([^"]*\)".*/\1/p'
