#!/usr/bin/env bash
# Runs every scenario of the benchmark for moments, on Tidegate and on the floor, and those that
# it can do on nats-server's WebSocket, which is at hand. Fails if
# a message is lost, out of order or wrong, never because something is slow. The
# micro-benchmarks follow, which fail if a result is wrong.
#
# Further arguments go to the benchmark, such as parts of rows' names.

SCRIPT="bench-short"
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/setup.sh"
cd "$ROOT"

need_rust
need_nats
say "all scenarios of the benchmark, for moments"
# Not optimised: the tests have built all but the benchmark itself in this profile.
log=$ROOT/artifacts/bench-short.log
mkdir -p "${log%/*}"
cargo bench --profile dev --bench gateway -- --short --beside nats-ws "$@" >"$log" ||
    fail "the benchmark failed: see the message above, and $log"
cargo bench --profile dev --bench micro -- --short >>"$log" ||
    fail "the micro-benchmarks failed: see the message above, and $log"
say "$(grep -c '^  tidegate ' "$log") rows, nothing lost and nothing out of order"
