#!/usr/bin/env bash
# Asks of all crates that we build upon: may they be used (licences), do they come from
# crates.io, is each there once, is there an advisory against one (RustSec)?
#
# What the gateway is made of is held to .github/deny.toml, without an exception. What only
# tests, benchmarks, examples and fuzz targets add has .github/deny-tests.toml.
#
# Needs cargo-deny, which is installed into .tools, and for advisories the database at
# https://github.com/RustSec/advisory-db. Environment: ADVISORIES=skip goes without it.

SCRIPT="audit"
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/setup.sh"
cd "$ROOT"

DENY=0.20.2

need_rust
export PATH=$TOOLS/cargo/bin:$PATH
if ! command -v cargo-deny >/dev/null; then
    say "installing cargo-deny into .tools; it takes some minutes"
    cargo install --quiet --locked --root "$TOOLS/cargo" "cargo-deny@$DENY" ||
        fail "cargo-deny is missing: cargo install --locked cargo-deny"
fi

# deny RULES ARGUMENT... -- CHECK...: cargo-deny by one of our two sets of rules.
deny() {
    local rules=$1 arguments=()
    shift
    while [ "$1" != -- ]; do
        arguments+=("$1")
        shift
    done
    shift
    cargo deny --locked --config ".github/$rules.toml" "${arguments[@]}" \
        check --hide-inclusion-graph "$@"
}

# audit CHECK...: the gateway, then all, then the fuzz targets, a workspace of their own.
audit() {
    say "the gateway"
    deny deny --exclude-dev --exclude tidegate-examples --exclude ws-echo -- "$@" &&
        say "tests, benchmarks and examples" &&
        deny deny-tests --workspace -- "$@" &&
        say "fuzz targets" &&
        deny deny-tests --manifest-path fuzz/Cargo.toml -- "$@"
}

audit licenses bans sources || fail "see the message above; the rules are in .github"
if [ "${ADVISORIES:-}" = skip ]; then
    say "advisories were not looked at (ADVISORIES=skip)"
    exit 0
fi
audit advisories ||
    fail "see the message above. Where https://github.com/RustSec/advisory-db cannot be" \
        "fetched, ADVISORIES=skip leaves the advisories out"
say "nothing found"
