#!/usr/bin/env bash
# Builds all but the fuzz targets with the oldest Rust that Cargo.toml promises, which
# rustup installs. What it makes has a place of its own, beside the usual target.

SCRIPT="msrv"
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/setup.sh"
cd "$ROOT"

version=$(sed -n 's/^rust-version = "\(.*\)"$/\1/p' Cargo.toml)
[ -n "$version" ] || fail "Cargo.toml says no rust-version"
command -v rustup >/dev/null || fail "rustup is missing: install it from https://rustup.rs/"
rustup run "$version" rustc --version >/dev/null 2>&1 ||
    rustup toolchain install "$version" --profile minimal ||
    fail "Rust $version cannot be installed: rustup toolchain install $version"
CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-target}/msrv \
    cargo "+$version" check --locked --workspace --all-targets
say "builds with $(rustup run "$version" rustc --version)"
