#!/bin/sh
# Says in one line each what is missing to go on. Usage: scripts/need.sh cargo linker git rustfmt clippy nginx pebble
set -eu

LEAST=1.85
missing=0

miss() {
    echo "missing: $1" >&2
    missing=1
}

for need in "$@"; do
    case "$need" in
    cargo)
        if ! command -v cargo >/dev/null 2>&1; then
            miss "cargo $LEAST or newer; get it with: curl https://sh.rustup.rs -sSf | sh"
            continue
        fi
        version=$(cargo --version | awk '{print $2}')
        major=${version%%.*}
        rest=${version#*.}
        minor=${rest%%.*}
        if [ "$major" -lt 1 ] || { [ "$major" -eq 1 ] && [ "$minor" -lt "${LEAST#*.}" ]; }; then
            miss "cargo $LEAST or newer (this is $version); get it with: rustup update stable"
        fi
        ;;
    linker)
        command -v cc >/dev/null 2>&1 ||
            miss "a C linker (cc); get it with: apt-get install gcc libc6-dev, or xcode-select --install"
        ;;
    git)
        command -v git >/dev/null 2>&1 || miss "git; get it with: apt-get install git"
        ;;
    rustfmt)
        cargo fmt --version >/dev/null 2>&1 || miss "rustfmt; get it with: rustup component add rustfmt"
        ;;
    clippy)
        cargo clippy --version >/dev/null 2>&1 || miss "clippy; get it with: rustup component add clippy"
        ;;
    nginx)
        # Debian puts it where PATH of a plain user does not look.
        command -v nginx >/dev/null 2>&1 || [ -x /usr/sbin/nginx ] ||
            miss "nginx, for the tests of \`tidings doctor\`; get it with: apt-get install nginx"
        ;;
    pebble)
        command -v pebble >/dev/null 2>&1 ||
            miss "pebble, for the tests of ordered certificates; get it with: apt-get install pebble"
        ;;
    *)
        miss "(a mistake in the Makefile: nothing is known about '$need')"
        ;;
    esac
done

exit "$missing"
