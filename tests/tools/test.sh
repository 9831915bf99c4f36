#!/usr/bin/env bash
# All tests: Rust, then the benchmark in its short form, then the published ResClient in
# Node, then the pages in Chromium.
#
# Environment: TIDEGATE_BIN runs the Node and browser tests against another gateway.

SCRIPT="test"
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/setup.sh"
cd "$ROOT"

need_rust
need_npm_packages
need_both_nats
need_chromium
want_firefox
need_nats_py
say "$("$NATS_SERVER_BIN" --version) as the current broker," \
    "$("$NATS_SERVER_BIN_OLD" --version) as the old one"

# The gateway and the examples, which the Node and browser tests start.
say "Rust tests"
cargo build --bins --examples
cargo test
say "transcripts of the heart, its work cut as small as can be"
HEART_UNITS=1 cargo test --test heart

say "tests/gateway with the broker inside, but for what needs a nats-server"
skip=()
while read -r name _; do
    skip+=(--skip "$name")
done < <(grep -v '^#' tests/data/needs_nats_server.txt)
TEST_BROKER=inside cargo test --test gateway -- "${skip[@]}"

tests/tools/bench-short.sh

say "what a newcomer runs"
make --no-print-directory run ARGS=--version

say "ResClient tests"
node --test --test-reporter=spec tests/resclient/*.test.mjs

say "the same with the broker inside"
TEST_BROKER=inside node --test --test-reporter=spec \
    tests/resclient/{book-collection,hello-world,go-res,go-res-examples,async-nats,counter}.test.mjs

say "browser tests; screenshots go to artifacts/browser"
node --test --test-reporter=spec tests/browser/*.test.mjs

say "all passed"
