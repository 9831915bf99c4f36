#!/usr/bin/env bash
# Runs every fuzz target, one after the other.
#
#   fuzz.sh SECONDS [TARGET...]
#
# What a target has learnt stays in fuzz/corpus/<target>, a crash in
# fuzz/artifacts/<target>; fuzz/seeds/<target> is where it begins.

SCRIPT=fuzz
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/setup.sh"
cd "$ROOT"

seconds=${1:?usage: fuzz.sh SECONDS [TARGET...]}
shift
[[ $seconds =~ ^[1-9][0-9]*$ ]] || fail "SECONDS=$seconds is not a number of seconds"

need_rust
export PATH=$TOOLS/cargo/bin:$PATH
if ! command -v cargo-fuzz >/dev/null; then
    say "installing cargo-fuzz into .tools"
    cargo install --quiet --locked --root "$TOOLS/cargo" cargo-fuzz ||
        fail "cargo-fuzz is missing: cargo install cargo-fuzz"
fi

# Sanitizers need a nightly compiler, or a stable one that is told to act as one.
toolchain=()
if rustup run nightly rustc --version >/dev/null 2>&1; then
    toolchain=(+nightly)
else
    export RUSTC_BOOTSTRAP=1
fi

if [ $# -eq 0 ]; then
    for file in fuzz/fuzz_targets/*.rs; do
        [ -e "$file" ] || fail "there are no targets in fuzz/fuzz_targets"
        set -- "$@" "$(basename "$file" .rs)"
    done
fi

for target in "$@"; do
    say "$target for $seconds s"
    corpus=fuzz/corpus/$target
    mkdir -p "$corpus"
    directories=("$corpus")
    [ ! -d "fuzz/seeds/$target" ] || directories+=("fuzz/seeds/$target")
    cargo "${toolchain[@]}" fuzz run "$target" "${directories[@]}" -- \
        -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 ||
        fail "$target failed; the input is in fuzz/artifacts/$target"
done
say "nothing found in ${seconds} s each: $*"
