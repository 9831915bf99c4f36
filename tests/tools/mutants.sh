#!/usr/bin/env bash
# Changes the source at places drawn by a seed, one at a time, and shows which changes no
# quick test notices. A change under src/<room> meets the unit tests of its room first, then,
# if it is in the heart or in what the heart reads, the transcripts of tests/heart and a few
# runs of the simulation.
#
#   mutants.sh SEED COUNT
#
# The copy that is changed, and what is built of it, stay in target/mutants.

SCRIPT=mutants
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/setup.sh"
cd "$ROOT"

seed=${1:?usage: mutants.sh SEED COUNT}
count=${2:?usage: mutants.sh SEED COUNT}
[[ $seed$count =~ ^[0-9]+$ ]] || fail "SEED=$seed and COUNT=$count are not numbers"

need_rust
export PATH=$TOOLS/cargo/bin:$PATH
if ! command -v cargo-mutants >/dev/null; then
    say "installing cargo-mutants into .tools"
    cargo install --quiet --locked --root "$TOOLS/cargo" cargo-mutants ||
        fail "cargo-mutants is missing: cargo install cargo-mutants"
fi

work=$ROOT/target/mutants
copy=$work/copy
export CARGO_TARGET_DIR=$work/build
rm -rf "$copy"
mkdir -p "$copy"
cp -r Cargo.toml Cargo.lock README.md src tests benches examples docs "$copy"
cd "$copy"

# Every line gets a number that follows from it and the seed; the lowest are taken.
rooms=(gateway nats ws http res)
cargo mutants --list "${rooms[@]/#/--file=src/}" 2>/dev/null >"$work/all" ||
    cargo mutants --list $(printf -- '-f src/%s/**/*.rs ' "${rooms[@]}") >"$work/all"
[ -s "$work/all" ] || fail "there is nothing to change"
awk -v seed="$seed" '
    BEGIN { for (i = 1; i < 256; i++) code[sprintf("%c", i)] = i }
    {
        h = (seed * 7919 + 17) % 1000003
        for (i = 1; i <= length($0); i++)
            h = (h * 131 + code[substr($0, i, 1)] + i) % 999999937
        # One line differs from the next by little: the number is stirred.
        for (i = 0; i < 8; i++) h = (h * 48271 + 11) % 2147483647
        printf "%d\t%s\n", h, $0
    }' "$work/all" | sort -n | head -n "$count" | cut -f 2- >"$work/sample"

# noticed TESTS...: whether the tests fail with the change $name.
noticed() {
    rm -rf "$work/out"
    cargo mutants --in-place --baseline skip --timeout 120 --no-shuffle \
        -F "^$pattern\$" -o "$work/out" -- "$@" >"$work/log" 2>&1 || true
    local result=$work/out/mutants.out
    [ -d "$result" ] || fail "$name: nothing was tried: see $work/log"
    [ ! -s "$result/unviable.txt" ] || verdict=unviable
    [ ! -s "$result/caught.txt" ] || verdict=found
    [ ! -s "$result/timeout.txt" ] || verdict=found
    [ "$verdict" != missed ]
}

found=0 unviable=0 missed=0
while IFS= read -r name; do
    pattern=$(sed 's/[][\\.*^$+?(){}|]/\\&/g' <<<"$name")
    room=${name#src/}
    room=${room%%[/.]*}
    verdict=missed
    noticed --lib "$room::" ||
        case $room in
        gateway | res) noticed --test heart || noticed --test simulation clients_agree || true ;;
        esac
    echo "$verdict: $name"
    (($verdict += 1))
done <"$work/sample"
tested=$((found + missed))
say "seed $seed: of $((tested + unviable)) changes $unviable do not build;" \
    "$found of the other $tested are found, $missed are not"
((missed == 0))
