#!/usr/bin/env python3
"""An OCI image as a layout in a folder, without a daemon: one layer with one binary.

    image.py BINARY VERSION EPOCH COMMIT OUT

The same binary gives the same bytes. `skopeo copy oci:OUT:VERSION ...` puts it elsewhere.
"""

import gzip
import hashlib
import io
import json
import pathlib
import platform
import sys
import tarfile
import time

ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
# Nobody: a number, for there is no /etc/passwd.
USER = 65532
SECOND = 1_000_000_000


def layer(binary, epoch):
    """The file system: the binary, and empty folders where files are mounted."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name in ("etc", "etc/tidegate", "tmp", "usr", "usr/bin"):
            entry = tarfile.TarInfo(name)
            entry.type, entry.mode, entry.mtime = tarfile.DIRTYPE, 0o755, epoch
            tar.addfile(entry)
        entry = tarfile.TarInfo("usr/bin/tidegate")
        entry.size, entry.mode, entry.mtime = len(binary), 0o755, epoch
        tar.addfile(entry, io.BytesIO(binary))
    return out.getvalue()


class Layout:
    def __init__(self, path):
        self.path = path
        (path / "blobs" / "sha256").mkdir(parents=True)

    def put(self, data, kind):
        digest = hashlib.sha256(data).hexdigest()
        (self.path / "blobs" / "sha256" / digest).write_bytes(data)
        return {"mediaType": kind, "digest": f"sha256:{digest}", "size": len(data)}

    def put_json(self, value, kind):
        return self.put(json.dumps(value, sort_keys=True).encode(), kind)


def configuration(version, created, commit, diff):
    labels = {
        "org.opencontainers.image.title": "Tidegate",
        "org.opencontainers.image.description": "Realtime and REST API gateway for the RES protocol",
        "org.opencontainers.image.version": version,
        "org.opencontainers.image.revision": commit,
        "org.opencontainers.image.created": created,
        "org.opencontainers.image.licenses": "MIT",
    }
    machine = platform.machine()
    config = {
        "created": created,
        "architecture": ARCHITECTURES.get(machine, machine),
        "os": "linux",
        "config": {
            "User": f"{USER}:{USER}",
            "Entrypoint": ["/usr/bin/tidegate"],
            "Env": ["TIDEGATE_METRICSPORT=8090"],
            "ExposedPorts": {"8080/tcp": {}, "8090/tcp": {}},
            "Labels": labels,
            "StopSignal": "SIGTERM",
            "WorkingDir": "/",
            # Docker's; other engines pass it over.
            "Healthcheck": {
                "Test": ["CMD", "/usr/bin/tidegate", "--probe"],
                "Interval": 10 * SECOND,
                "Timeout": 5 * SECOND,
                "StartPeriod": 10 * SECOND,
                "Retries": 3,
            },
        },
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{diff}"]},
        "history": [{"created": created, "created_by": "tests/tools/dist/image.py"}],
    }
    return config, labels


def main():
    binary, version = pathlib.Path(sys.argv[1]).read_bytes(), sys.argv[2]
    epoch, commit, out = int(sys.argv[3]), sys.argv[4], pathlib.Path(sys.argv[5])
    created = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(epoch))
    kind = "application/vnd.oci.image."
    layout = Layout(out)
    tar = layer(binary, epoch)
    packed = gzip.compress(tar, 9, mtime=0)
    layer_entry = layout.put(packed, kind + "layer.v1.tar+gzip")
    config, labels = configuration(version, created, commit, hashlib.sha256(tar).hexdigest())
    manifest = {
        "schemaVersion": 2,
        "mediaType": kind + "manifest.v1+json",
        "config": layout.put_json(config, kind + "config.v1+json"),
        "layers": [layer_entry],
        "annotations": labels,
    }
    entry = layout.put_json(manifest, kind + "manifest.v1+json")
    entry["annotations"] = {"org.opencontainers.image.ref.name": version}
    entry["platform"] = {"architecture": config["architecture"], "os": "linux"}
    index = {"schemaVersion": 2, "mediaType": kind + "index.v1+json", "manifests": [entry]}
    (out / "index.json").write_text(json.dumps(index, sort_keys=True))
    (out / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')


main()
