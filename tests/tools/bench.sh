#!/usr/bin/env bash
# Measures Tidegate beside the floor, and beside another gateway if one is named.
#
#   bench.sh [PEER [ARGUMENT...]]
#
# PEER is a gateway's binary with the same flags, or empty; `bench.sh '' --help` lists the
# arguments. docs/BENCHMARKS.md tells what is measured and how to read it.
# BESIDE=nats-ws,centrifugo=BINARY,bun=BINARY adds what somebody might take instead.
# BENCH=attack runs the attacks of docs/SECURITY.md in its place.

BENCH=${BENCH:-gateway}
SCRIPT="bench"
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/setup.sh"
cd "$ROOT"

arguments=()
peer=${1:-}
if [ -n "$peer" ]; then
    command -v "$peer" >/dev/null || fail "PEER=$peer is no program"
    arguments+=(--peer "$peer")
fi
shift $(($# > 0))
[ -z "${BESIDE:-}" ] || arguments+=(--beside "$BESIDE")

need_rust
need_nats
say "$("$NATS_SERVER_BIN" --version) as the broker; nothing else should run meanwhile"
cargo bench --bench "$BENCH" -- "${arguments[@]}" "$@"
