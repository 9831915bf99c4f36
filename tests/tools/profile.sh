#!/usr/bin/env bash
# Builds the gateway as it is shipped but for names, lines and frame pointers, which
# profilers want, and says how to take a flame graph.

SCRIPT="profile"
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/setup.sh"
cd "$ROOT"

need_rust
say "building; linking takes a while"
RUSTFLAGS="${RUSTFLAGS:-} -C force-frame-pointers=yes" \
    cargo build --profile profiling --bin tidegate
binary=${CARGO_TARGET_DIR:-target}/profiling/tidegate

cat <<END

  Built: $binary

  1. Load it with a scenario of the benchmark, here for half a minute:

       make bench ARGS="--tidegate $binary --no-floor --no-syscalls --rounds 1 --seconds 30 fanout-64x64"

  2. Meanwhile, in another terminal (-e cpu-clock: virtual machines often have no counters):

       perf record -e cpu-clock -F 997 -g -p "\$(pgrep -nx tidegate)" -- sleep 20

  3. Look at it:

       perf report --no-children
       perf script | inferno-collapse-perf | inferno-flamegraph > flame.svg    # cargo install inferno

  For counts that repeat exactly, whatever else the machine does:

       valgrind --tool=callgrind $binary --nats nats://127.0.0.1:4222 --addr 127.0.0.1

END
