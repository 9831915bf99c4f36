#!/usr/bin/env bash
# Installs, runs and removes what dist.sh has built, and shows that it can be built again.
#
#   dist-check.sh [PART...]    archive, deb, rpm, image, manifests; all without any, as far as the
#                              programs for them are installed
#   dist-check.sh reproducible builds the committed source twice, in two folders, and compares
#                              (two release builds)
#
# Packages are installed into folders below target/dist-check, not on this machine; as root, since
# they are run by chroot. The service manager is a script that writes down what it is asked.

SCRIPT="dist-check"
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/setup.sh"
cd "$ROOT"

dist=$ROOT/target/dist
work=$ROOT/target/dist-check
version=$(sed -n 's/^version = "\(.*\)"$/\1/p' Cargo.toml | head -n 1)
name=tidegate-$version-$(uname -m)-linux

# have PROGRAM...: whether all are installed.
have() {
    local program
    for program; do
        command -v "$program" >/dev/null || {
            say "skipped: $program is not installed"
            return 1
        }
    done
}

# new FOLDER: an empty folder below $work.
new() {
    rm -rf "${work:?}/$1"
    mkdir -p "$work/$1"
    printf '%s\n' "$work/$1"
}

# expect WORDS COMMAND...: fails with the words unless the command succeeds.
expect() {
    local words=$1
    shift
    "$@" || fail "$words: $*"
}

# mode PATH MODE
mode() {
    [ "$(stat -c %a "$1")" = "$2" ] || fail "$1 has the mode $(stat -c %a "$1"), not $2"
}

# runs COMMAND...: the installed binary, by whatever leads to it, is a gateway: it says its
# version, serves, is probed, and ends in good order.
runs() {
    local port metrics pid tries=0
    "$@" --version | grep -qx "tidegate $version (RES protocol .*)" || fail "no version: $*"
    read -r port metrics < <(python3 -c '
import socket
sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
print(*(it.getsockname()[1] for it in sockets))')
    "$@" --broker 127.0.0.1:0 --addr 127.0.0.1 --port "$port" --metricsport "$metrics" \
        --draintime 0 2>"$work/log" &
    pid=$!
    # Each probe waits for an answer; a refused connection is one.
    until "$@" --probe ready --addr 127.0.0.1 --metricsport "$metrics" >/dev/null 2>&1; do
        tries=$((tries + 1))
        if [ $tries -gt 1000 ] || ! kill -0 $pid 2>/dev/null; then
            cat "$work/log" >&2
            fail "the gateway does not start: $*"
        fi
    done
    kill -TERM $pid
    wait $pid || fail "the gateway ends with $?: $(cat "$work/log")"
}

archive() {
    local root
    root=$(new archive)
    (cd "$dist" && sha256sum --quiet -c SHA256SUMS) || fail "SHA256SUMS is wrong"
    tar -C "$root" -xzf "$dist/$name.tar.gz"
    runs "$root/$name/tidegate"
    # Names are resolved without any file of the C library, and without modules of the host's,
    # which may be made for another.
    ! grep -q nsswitch.conf "$root/$name/tidegate" || fail "the binary loads modules of the host"
    mkdir -p "$root/jail/etc"
    cp "$root/$name/tidegate" "$root/jail/"
    printf '127.0.0.1 localhost\n127.0.0.1 broker.example\n' >"$root/jail/etc/hosts"
    local said
    said=$(chroot "$root/jail" /tidegate --check --addr 127.0.0.1 --port 65001 \
        --nats nats://broker.example:1 || true)
    grep -q "nats://broker.example:1: Connection refused" <<<"$said" ||
        fail "a name is not resolved: $said"
    # What cargo-auditable has written into it: the crates that it is made of.
    objcopy -O binary --only-section=.dep-v0 --set-section-flags .dep-v0=alloc \
        "$root/$name/tidegate" "$root/crates"
    python3 - "$root/crates" "$root/$name/tidegate.cdx.json" <<'CHECK' ||
import json, sys, zlib
crates = json.loads(zlib.decompress(open(sys.argv[1], "rb").read()))["packages"]
names = {it["name"] for it in crates if it.get("kind") != "build"}
bill = {it["name"] for it in json.load(open(sys.argv[2]))["components"]} | {"tidegate"}
assert {"tidegate", "rustls", "mio"} <= names and names <= bill, names ^ bill
CHECK
        fail "the crates in the binary are not those of the SBOM"
    say "archive: runs, also in an empty root, and resolves names there"
}

# A service manager that writes down what it is asked, for scripts that are run by the host.
manager() {
    mkdir -p "$1/bin"
    printf '#!/bin/sh\necho "$*" >>"%s/asked"\n' "$1" >"$1/bin/systemctl"
    chmod +x "$1/bin/systemctl"
    : >"$1/asked"
}

# asked FOLDER: what it was asked since the last time.
asked() {
    cat "$1/asked"
    : >"$1/asked"
}

deb() {
    have dpkg-deb dpkg || return 0
    local root tools file
    file=$(find "$dist" -name "tidegate_${version}_*.deb")
    root=$(new deb) tools=$(new deb-tools)
    manager "$tools"
    mkdir -p "$root"/var/lib/dpkg/{info,updates,triggers} "$root/run/systemd/system"
    touch "$root/var/lib/dpkg/status" "$root/var/lib/dpkg/available"
    package() {
        PATH=$tools/bin:$PATH dpkg --root="$root" --force-script-chrootless --force-confold \
            --log=/dev/null "$@" >"$work/log" 2>&1 || fail "dpkg $*: $(cat "$work/log")"
    }
    package --install "$file"
    [ "$(asked "$tools")" = daemon-reload ] || fail "the package starts something unasked"
    local conf=$root/etc/tidegate/tidegate.json unit=$root/usr/lib/systemd/system
    mode "$conf" 600
    mode "$root/usr/bin/tidegate" 755
    expect "a unit is missing" test -f "$unit/tidegate.service" -a -f "$unit/tidegate.socket"
    expect "a text is missing" test -f "$root/usr/share/man/man1/tidegate.1.gz" \
        -a -f "$root/usr/share/doc/tidegate/copyright"
    runs chroot "$root" /usr/bin/tidegate
    # What runs goes on with the new binary; the file stays as the operator wrote it.
    echo '{"port": 9090}' >"$conf"
    package --install "$file"
    asked "$tools" | grep -q '^try-restart tidegate.service' || fail "an upgrade restarts nothing"
    grep -q 9090 "$conf" || fail "an upgrade replaces the configuration"
    package --remove tidegate
    asked "$tools" | grep -q '^disable --now' || fail "what is removed still runs"
    grep -q 9090 "$conf" || fail "to remove the package takes the configuration"
    package --purge tidegate
    local left
    left=$(cd "$root" && find . -path ./var -prune -o -path ./run -prune -o ! -type d -print)
    [ -z "$left" ] || fail "to purge the package leaves $left"
    ! have lintian 2>/dev/null || lintian --fail-on error --suppress-tags bogus-mail-host \
        --allow-root "$file" >"$work/log" 2>&1 || fail "lintian: $(cat "$work/log")"
    say "deb: installed, run, upgraded, removed and purged without traces"
}

rpm() {
    have rpm cpio || return 0
    local root file
    file=$(find "$dist" -name "tidegate-$version-*.rpm")
    root=$(new rpm)
    package() {
        command rpm --root "$root" --nodeps --noscripts "$@" >"$work/log" 2>&1 ||
            fail "rpm $*: $(cat "$work/log")"
    }
    command rpm --root "$root" --initdb 2>"$work/log" || fail "rpm: $(cat "$work/log")"
    package -i "$file"
    mode "$root/etc/tidegate/tidegate.json" 600
    runs chroot "$root" /usr/bin/tidegate
    command rpm -qp --requires "$file" 2>/dev/null | grep -v '^rpmlib(\|^config(tidegate)\|^/bin/sh' &&
        fail "the package needs others"
    # By a service manager that writes down what it is asked; 1 packages are there, or none.
    local tools
    tools=$(new rpm-tools)
    manager "$tools"
    script() {
        command rpm -qp --qf "%{$1}" "$file" | sed "s,/run/systemd/system,$tools/bin," >"$work/script"
        PATH=$tools/bin:$PATH sh -e "$work/script" "$2" || fail "the script $1 $2 fails"
    }
    script postin 1
    [ "$(asked "$tools")" = daemon-reload ] || fail "the package starts something unasked"
    script postun 1
    asked "$tools" | grep -q '^try-restart tidegate.service' || fail "an upgrade restarts nothing"
    script preun 1
    [ -z "$(asked "$tools")" ] || fail "an upgrade stops what runs"
    script preun 0
    asked "$tools" | grep -q '^disable --now' || fail "what is removed still runs"
    echo '{"port": 9090}' >"$root/etc/tidegate/tidegate.json"
    package -e tidegate
    local left
    left=$(cd "$root" && find etc usr ! -type d)
    [ "$left" = etc/tidegate/tidegate.json.rpmsave ] || fail "to remove the package leaves $left"
    say "rpm: installed, run and removed"
}

image() {
    have skopeo umoci || return 0
    local layout=$dist/$name.oci copy bundle config
    copy=$(new image) bundle=$work/image-bundle
    # All blobs are read and compared with their digests.
    skopeo copy --quiet "oci:$layout:$version" "oci:$copy:again"
    skopeo copy --quiet "oci-archive:$layout.tar:$version" "oci:$copy:archive"
    config=$(skopeo inspect --config "oci:$layout:$version")
    python3 - "$config" "$version" <<'CHECK' || fail "the image's configuration is not as it should be"
import json, sys
config, version = json.loads(sys.argv[1]), sys.argv[2]
it = config["config"]
assert it["User"] not in ("", "0", "root", "0:0"), it
assert it["Labels"]["org.opencontainers.image.version"] == version, it
assert it["Labels"]["org.opencontainers.image.licenses"] == "MIT", it
assert it["Entrypoint"] == ["/usr/bin/tidegate"], it
CHECK
    grep -q '"Healthcheck"' -r "$layout/blobs" || fail "the image has no health check"
    rm -rf "$bundle"
    umoci unpack --image "$layout:$version" "$bundle" >"$work/log" 2>&1 ||
        fail "umoci: $(cat "$work/log")"
    local files
    files=$(cd "$bundle/rootfs" && find . ! -type d)
    [ "$files" = ./usr/bin/tidegate ] || fail "the image has more than the binary: $files"
    runs chroot --userspec=65532:65532 "$bundle/rootfs" /usr/bin/tidegate
    say "image: read by skopeo, unpacked by umoci, run as nobody"
}

# Of Kubernetes the oldest version with what is used, and the newest that the validator knows
# (from PyPI).
manifests() {
    have kubernetes-validate || return 0
    local version
    for version in 1.30 1.37; do
        kubernetes-validate --quiet --strict -k $version docs/packaging/kubernetes/*.yaml ||
            fail "the manifests are not valid for Kubernetes $version"
    done
    say "manifests: valid for Kubernetes 1.30 and 1.37"
}

# Two folders, of which one has a longer name, and two homes of cargo's targets.
reproducible() {
    local folder commit
    commit=$(git rev-parse --short=12 HEAD)
    for folder in one another/place; do
        folder=$work/again/$folder
        rm -rf "$folder"
        mkdir -p "$folder"
        git archive HEAD | tar -x -C "$folder"
        # The tools are those of this folder.
        ln -s "$TOOLS" "$folder/.tools"
        TIDEGATE_COMMIT=$commit SOURCE_DATE_EPOCH=$(git log -1 --format=%ct) \
            "$folder/tests/tools/dist.sh" || fail "the build in $folder fails"
    done
    diff "$work"/again/{one,another/place}/target/dist/SHA256SUMS ||
        fail "two builds of the same source are not equal"
    say "two builds in two folders are equal"
}

mkdir -p "$work"
[ $# -gt 0 ] || set -- archive deb rpm image manifests
[ "$*" = reproducible ] || [ -d "$dist" ] || fail "nothing is built: make dist"
for part; do
    "$part"
done
