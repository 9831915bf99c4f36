#!/usr/bin/env bash
# Builds all that is shipped, into target/dist: a static binary in an archive, a Debian and an
# RPM package, an image as an OCI layout, what all is made of (SBOM, licences), checksums.
#
#   dist.sh [PART...]      archive, deb, rpm, image; all without any
#
# The same source and compilers give the same bytes, in whatever folder
# (dist-check.sh shows it). Needs Rust and Python 3; cargo-deb, cargo-generate-rpm and
# cargo-auditable are installed into .tools.
#
# The C library is musl, linked in, with another allocator than its own (docs/CONTRIBUTING.md).

SCRIPT="dist"
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/setup.sh"
cd "$ROOT"

# Bytes that the binary may have.
SIZE_MAX=4000000

DEB=3.8.0
RPM=0.21.1
AUDITABLE=0.7.7

# need_tool NAME VERSION: a command of cargo, from .tools.
need_tool() {
    command -v "$1" >/dev/null && return
    say "installing $1 into .tools; it takes some minutes"
    cargo install --quiet --locked --root "$TOOLS/cargo" "$1@$2" ||
        fail "$1 is missing: cargo install --locked $1"
}

need_rust
command -v python3 >/dev/null || fail "Python 3 is missing: apt-get install python3"
export PATH=$TOOLS/cargo/bin:$PATH
need_tool cargo-auditable $AUDITABLE
command -v musl-gcc >/dev/null || apt_install musl-tools ||
    fail "musl-gcc is missing: apt-get install musl-tools"

machine=$(uname -m)
target=$machine-unknown-linux-musl
version=$(sed -n 's/^version = "\(.*\)"$/\1/p' Cargo.toml | head -n 1)
maintainer=$(sed -n 's/^maintainer = "\(.*\)"$/\1/p' Cargo.toml)
dist=$ROOT/target/dist
name=tidegate-$version-$machine-linux

# The commit and its time; an archive of the source without a repository says them itself.
if [ -z "${TIDEGATE_COMMIT:-}" ]; then
    TIDEGATE_COMMIT=$(git rev-parse --short=12 HEAD 2>/dev/null || echo unknown)
    [ -z "$(git status --porcelain 2>/dev/null)" ] || TIDEGATE_COMMIT+=-changed
fi
: "${SOURCE_DATE_EPOCH:=$(git log -1 --format=%ct 2>/dev/null || echo 0)}"
TIDEGATE_COMPILER=$(rustc --version)
export TIDEGATE_COMMIT TIDEGATE_COMPILER SOURCE_DATE_EPOCH

rustup target list --installed 2>/dev/null | grep -qx "$target" || rustup target add "$target" >&2 ||
    fail "Rust's library for $target is missing: rustup target add $target"

# build: the binary, in $binary.
build() {
    local home=${CARGO_HOME:-$HOME/.cargo} flags
    # Paths of this machine stay out, and so do tables for unwinding: nothing unwinds.
    flags=(
        "-Clink-arg=-Wl,--no-eh-frame-hdr" "-Clink-arg=-Wl,-T,tests/tools/dist/no-unwind.ld"
        "-Clink-arg=-Wl,-z,pack-relative-relocs"
        "--remap-path-prefix=$ROOT=/tidegate" "--remap-path-prefix=$home=/cargo"
    )
    # For this build alone: what is installed later is not built so.
    CARGO_ENCODED_RUSTFLAGS=$(IFS=$'\x1f' && printf '%s' "${flags[*]}") \
        CFLAGS="-ffile-prefix-map=$ROOT=/tidegate -ffile-prefix-map=$home=/cargo" \
        cargo auditable build --locked --release --target "$target" --bin tidegate \
        --config 'profile.release.opt-level = 2' \
        --target-dir "$ROOT/target/static"
    binary=$ROOT/target/static/$target/release/tidegate
    local size
    size=$(stat -c %s "$binary")
    say "the binary has $size bytes"
    # Relocations are packed, which the C library must know: musl 1.2.5, of Rust 1.93 and later.
    "$binary" --version >/dev/null || fail "the binary does not start; use a newer Rust"
    [ "$size" -le $SIZE_MAX ] || fail "the binary has more than $SIZE_MAX bytes"
    if readelf -d "$binary" | grep -q NEEDED; then
        fail "the binary needs shared libraries"
    fi
}

# stage: the tree that archive and packages are made of.
stage() {
    local root=$dist/root doc=$dist/root/usr/share/doc/tidegate
    rm -rf "$dist"
    mkdir -p "$doc"
    install -D -m 755 "$binary" "$root/usr/bin/tidegate"
    python3 tests/tools/dist/materials.py "$target" "$SOURCE_DATE_EPOCH" "$TIDEGATE_COMMIT" "$doc"
    cp "$doc/tidegate.cdx.json" "$dist/$name.cdx.json"
    printf '%s\n' "tidegate ($version) unstable; urgency=medium" "" \
        "  * docs/CHANGELOG.md of the source has what is new." "" \
        " -- $maintainer  $(date -uRd "@$SOURCE_DATE_EPOCH")" >"$dist/changelog"
    install -D -m 644 docs/man/tidegate.1 "$root/usr/share/man/man1/tidegate.1"
    gzip -9n "$root/usr/share/man/man1/tidegate.1"
    install -D -m 644 docs/completions/tidegate.bash \
        "$root/usr/share/bash-completion/completions/tidegate"
    install -D -m 644 docs/completions/_tidegate "$root/usr/share/zsh/vendor-completions/_tidegate"
    install -D -m 644 docs/completions/tidegate.fish \
        "$root/usr/share/fish/vendor_completions.d/tidegate.fish"
}

# archive: for those who copy one file.
archive() {
    local folder=$dist/$name
    mkdir -p "$folder"
    cp "$dist/root/usr/bin/tidegate" LICENSE README.md docs/CHANGELOG.md "$folder"
    cp "$dist"/root/usr/share/doc/tidegate/* "$folder"
    cp -R docs/man docs/completions docs/packaging/systemd docs/packaging/tidegate.json "$folder"
    chmod -R u=rwX,go=rX "$folder"
    tar --sort=name --mtime="@$SOURCE_DATE_EPOCH" --owner=0 --group=0 --numeric-owner \
        -C "$dist" -cf - "$name" | gzip -9n >"$dist/$name.tar.gz"
    rm -rf "$folder"
}

deb() {
    need_tool cargo-deb $DEB
    # Without a profile: it would look for files of target/dist elsewhere.
    cargo deb --no-build --no-strip --output "$dist/" >&2
}

rpm() {
    need_tool cargo-generate-rpm $RPM
    cargo generate-rpm --source-date "$SOURCE_DATE_EPOCH" --output "$dist/" >&2
}

image() {
    local layout=$dist/$name.oci
    python3 tests/tools/dist/image.py "$binary" "$version" "$SOURCE_DATE_EPOCH" \
        "$TIDEGATE_COMMIT" "$layout"
    tar --sort=name --mtime="@$SOURCE_DATE_EPOCH" --owner=0 --group=0 --numeric-owner \
        -C "$layout" -cf "$layout.tar" .
}

build
stage
[ $# -gt 0 ] || set -- archive deb rpm image
for part; do
    "$part"
done
cd "$dist"
find . -maxdepth 1 -type f -name "tidegate*" -printf '%P\n' | LC_ALL=C sort |
    xargs sha256sum >SHA256SUMS
say "target/dist has:"
cat SHA256SUMS
