#!/usr/bin/env bash
# Builds the gateway, says before how long that takes, and runs it as `tidegate --demo` with
# the arguments given. Rust is all that it needs. Ctrl-C ends it.

set -euo pipefail
cd "$(dirname "$0")/../.."

say() { printf 'run: %s\n' "$*" >&2; }

if ! command -v cargo >/dev/null; then
    say "Rust is missing: install it from https://rustup.rs/ (1.89 or later)"
    exit 1
fi

target=${CARGO_TARGET_DIR:-target}
if [ ! -x "$target/quick/tidegate" ]; then
    say "building Tidegate, and nothing else; the first time takes a minute or two"
fi
cargo build --profile quick --bin tidegate

exec "$target/quick/tidegate" --demo "$@"
