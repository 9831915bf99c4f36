#!/usr/bin/env bash
# Changes the source at places drawn by a seed, one at a time, and shows which changes no test
# notices. cargo-mutants says what can be changed; all that is drawn is put into one copy of the
# tree, each behind a switch, so that there is one build, and for each mutant a run of the tests
# that reach it.
#
#   mutants.sh SEED COUNT
#
# The copy stays in target/mutants, what is built of it, and SEED.json with what was found.
# AGAIN=1 in the environment tries only what was missed the last time.

SCRIPT=mutants
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/setup.sh"
cd "$ROOT"

CARGO_MUTANTS=27.1.0
TREE_SITTER=0.26.1
TREE_SITTER_RUST=0.24.2

seed=${1:?usage: mutants.sh SEED COUNT}
count=${2:?usage: mutants.sh SEED COUNT}
[[ $seed =~ ^[0-9]+$ && $count =~ ^[1-9][0-9]*$ ]] ||
    fail "SEED=$seed and COUNT=$count are not numbers"

need_rust
need_both_nats
export PATH=$PATH:$TOOLS/cargo/bin
if ! cargo mutants --version >/dev/null 2>&1; then
    say "installing cargo-mutants into .tools"
    cargo install --quiet --locked --root "$TOOLS/cargo" "cargo-mutants@$CARGO_MUTANTS" ||
        fail "cargo-mutants is missing: cargo install cargo-mutants"
fi

# What the rewriting reads Rust with.
packages=$TOOLS/mutants-$TREE_SITTER
if [ ! -d "$packages" ]; then
    python3 -m pip --version >/dev/null 2>&1 || apt_install python3-pip ||
        fail "pip is missing: install it (Debian: apt-get install python3-pip)"
    say "installing tree-sitter into .tools"
    rm -rf "$packages.part"
    python3 -m pip install --quiet --root-user-action=ignore --target "$packages.part" \
        "tree-sitter==$TREE_SITTER" "tree-sitter-rust==$TREE_SITTER_RUST" >&2 ||
        fail "tree-sitter could not be installed: see pip's message above"
    mv "$packages.part" "$packages"
fi

export PYTHONPATH=$packages PYTHONDONTWRITEBYTECODE=1
mkdir -p target/mutants
exec python3 tests/tools/mutants "$seed" "$count"
