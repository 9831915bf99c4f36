#!/usr/bin/env python3
"""What the binary is made of: a CycloneDX SBOM and the licences of all crates.

    materials.py TARGET EPOCH COMMIT OUT

Reads `cargo metadata` for the target, follows what the gateway depends upon when it is built
(no development dependencies), and writes OUT/tidegate.cdx.json and
OUT/THIRD-PARTY-LICENSES.txt. The same source gives the same bytes.
"""

import hashlib
import json
import pathlib
import subprocess
import sys
import time
import uuid

ROOT = pathlib.Path(__file__).resolve().parents[3]
# What a crate's folder names texts by that its licence wants to be passed on.
TEXTS = ("license", "licence", "copying", "notice", "copyright", "unlicense")


def metadata(target):
    command = ["cargo", "metadata", "--locked", "--format-version=1", "--filter-platform", target]
    return json.loads(subprocess.check_output(command, cwd=ROOT))


def shipped(data):
    """The packages of the binary by their IDs, and what each of them depends upon."""
    packages = {package["id"]: package for package in data["packages"]}
    nodes = {node["id"]: node for node in data["resolve"]["nodes"]}
    root = next(key for key, it in packages.items() if it["name"] == "tidegate")
    found, waiting = {}, [root]
    while waiting:
        key = waiting.pop()
        if key in found:
            continue
        # Procedural macros and build scripts run when the binary is built: they are listed too.
        uses = [
            dependency["pkg"]
            for dependency in nodes[key]["deps"]
            if any(kind["kind"] != "dev" for kind in dependency["dep_kinds"])
        ]
        found[key] = sorted(uses)
        waiting.extend(uses)
    return root, packages, found


def checksums():
    """SHA-256 of each crate's archive, from the lock file."""
    found, name, version = {}, "", ""
    for line in (ROOT / "Cargo.lock").read_text().splitlines():
        key, _, value = line.partition(" = ")
        value = value.strip('"')
        if key == "name":
            name = value
        elif key == "version":
            version = value
        elif key == "checksum":
            found[name, version] = value
    return found


def reference(package):
    return f"pkg:cargo/{package['name']}@{package['version']}"


def component(package, sums, kind):
    entry = {
        "type": kind,
        "bom-ref": reference(package),
        "name": package["name"],
        "version": package["version"],
        "purl": reference(package),
        "licenses": [{"expression": expression(package)}],
    }
    if package.get("description"):
        entry["description"] = " ".join(package["description"].split())
    if package.get("repository"):
        entry["externalReferences"] = [{"type": "vcs", "url": package["repository"]}]
    checksum = sums.get((package["name"], package["version"]))
    if checksum:
        entry["hashes"] = [{"alg": "SHA-256", "content": checksum}]
    return entry


def expression(package):
    """The licence as SPDX writes it; crates used to divide alternatives by a slash."""
    if not package.get("license"):
        sys.exit(f"{reference(package)} names no licence")
    return package["license"].replace("/", " OR ").replace("  ", " ")


def bill(root, packages, found, epoch, commit):
    sums = checksums()
    order = sorted(found, key=lambda key: reference(packages[key]))
    own = component(packages[root], sums, "application")
    own["properties"] = [{"name": "tidegate:commit", "value": commit}]
    document = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {
            "timestamp": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(epoch)),
            "component": own,
        },
        "components": [component(packages[key], sums, "library") for key in order if key != root],
        "dependencies": [
            {
                "ref": reference(packages[key]),
                "dependsOn": sorted({reference(packages[it]) for it in found[key]}),
            }
            for key in order
        ],
    }
    digest = hashlib.sha256(json.dumps(document, sort_keys=True).encode()).digest()
    document["serialNumber"] = f"urn:uuid:{uuid.UUID(bytes=digest[:16], version=4)}"
    return document


def licences(root, packages, found):
    """The texts, each once, with the crates that they are of."""
    by_text, crates = {}, []
    for key in sorted(found, key=lambda key: reference(packages[key])):
        if key == root:
            continue
        package = packages[key]
        name = f"{package['name']} {package['version']}"
        crates.append(f"{name}: {expression(package)}")
        folder = pathlib.Path(package["manifest_path"]).parent
        # Also of what a crate brings along from elsewhere.
        for path in sorted(folder.rglob("*")):
            is_text = path.suffix.lower() in ("", ".txt", ".md", ".html")
            if is_text and path.is_file() and path.name.lower().startswith(TEXTS):
                text = path.read_text(errors="replace").strip()
                where = path.relative_to(folder)
                by_text.setdefault(text, []).append(f"{name} ({where})")
    lines = [
        "Tidegate is made of these crates, by the licences that stand behind their names.",
        "The C library that is linked in is musl, by MIT; Rust's standard library is by MIT OR",
        "Apache-2.0.",
        "",
        *crates,
    ]
    for text, owners in sorted(by_text.items(), key=lambda item: item[1]):
        lines += ["", "=" * 80, *owners, "-" * 80, text]
    return "\n".join(lines) + "\n"


def main():
    target, epoch, commit, out = sys.argv[1], int(sys.argv[2]), sys.argv[3], pathlib.Path(sys.argv[4])
    root, packages, found = shipped(metadata(target))
    document = bill(root, packages, found, epoch, commit)
    (out / "tidegate.cdx.json").write_text(json.dumps(document, indent=1) + "\n")
    (out / "THIRD-PARTY-LICENSES.txt").write_text(licences(root, packages, found))


main()
