#!/usr/bin/env bash
# Attacks Tidegate, and another gateway if one is named, and tells what a client beside
# notices.
#
#   attack.sh [PEER [ARGUMENT...]]
#
# PEER is a gateway's binary with the same flags, or empty; `attack.sh '' --help` lists the
# arguments. docs/SECURITY.md has the figures and says how to read them.

SCRIPT="attack"
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

need_rust
need_nats
say "$("$NATS_SERVER_BIN" --version) as the broker; nothing else should run meanwhile"
cargo bench --bench attack -- "${arguments[@]}" "$@"
