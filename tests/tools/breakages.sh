#!/usr/bin/env bash
# Breaks the heart on purpose, in each of the ways of tests/breakages, and shows after how
# many seeds the simulation finds it. Fails where one is not found.
#
#   breakages.sh RUNS [NAME...]
#
# The copy that is broken stays in target/breakages, and what is built of it: in the folder of
# what is whole, cargo would take one for the other.

SCRIPT=breakages
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/setup.sh"
cd "$ROOT"

runs=${1:?usage: breakages.sh RUNS [NAME...]}
shift
[[ $runs =~ ^[1-9][0-9]*$ ]] || fail "RUNS=$runs is not a number of runs"
if (($# == 0)); then
    set -- tests/breakages/*.patch
    set -- "${@##*/}"
    set -- "${@%.patch}"
fi

need_rust
copy=$ROOT/target/breakages/copy
export CARGO_TARGET_DIR=$ROOT/target/breakages/target
missed=0
for name; do
    rm -rf "$copy"
    mkdir -p "$copy"
    cp -r Cargo.toml Cargo.lock README.md src tests benches examples docs "$copy"
    patch -s -p1 -d "$copy" <"tests/breakages/$name.patch" || fail "$name does not apply"
    log=$ROOT/target/breakages/$name.log
    if ! (cd "$copy" && cargo test -q --profile trial --test simulation --no-run) >"$log" 2>&1; then
        fail "$name does not build: see $log"
    fi
    began=$SECONDS
    if (cd "$copy" && SIM_RUNS=$runs \
        cargo test -q --profile trial --test simulation clients_agree) >"$log" 2>&1; then
        echo "$name: NOT FOUND by $runs seeds"
        missed=$((missed + 1))
    else
        found=$(sed -n 's/^seed \([0-9]*\) fails, in \([0-9]* of [0-9]* steps\).*/seed \1, \2/p' "$log")
        [[ $found ]] || fail "$name: no seed failed, but the test did: see $log"
        echo "$name: $found, $((SECONDS - began)) s"
    fi
done
((missed == 0)) || fail "$missed of $# breakages were not found"
