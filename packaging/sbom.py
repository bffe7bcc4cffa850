#!/usr/bin/env python3
"""Writes the list of components of a program in CycloneDX 1.5: every crate that is compiled into it.

usage: sbom.py PROGRAM PACKAGE TARGET [FEATURES] > PROGRAM.cdx.json

PROGRAM is the name of the program, PACKAGE the cargo package that it belongs to, and TARGET the machine that it is for.
FEATURES are the features of the package, separated by commas; without them, its default features. Crates that run only
while the program is compiled are in the list with the scope "excluded". The same sources give the same bytes: there is
neither a time nor a random number in the list. It asks cargo and reads Cargo.lock.
"""

import json
import re
import subprocess
import sys
import tomllib
import uuid
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
REGISTRY = "registry+https://github.com/rust-lang/crates.io-index"
# A line of `cargo tree`: name, version, what is in brackets behind it, and the licence.
LINE = re.compile(r"^(?P<name>\S+) v(?P<version>\S+)(?: \((?P<more>[^)]*)\))*\|(?P<licence>.*)$")


def tree(package: str, target: str, features: str | None, edges: str) -> dict[tuple[str, str], str]:
    """Returns the crates that these edges of the graph lead to, as (name, version) with their licences."""
    command = ["cargo", "tree", "--quiet", "--locked", "--package", package, "--target", target, "--edges", edges]
    command += ["--prefix", "none", "--no-dedupe", "--format", "{p}|{l}"]
    if features is not None:
        command += ["--no-default-features", "--features", features]
    lines = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.splitlines()
    found = {}
    for line in filter(None, lines):
        parsed = LINE.match(line)
        if parsed is None:
            raise SystemExit(f"a line of cargo tree that is not understood: {line}")
        found[parsed["name"], parsed["version"]] = parsed["licence"]
    return found


def checksums() -> dict[tuple[str, str], str]:
    """Returns the SHA-256 of every crate from the registry."""
    lock = tomllib.loads((ROOT / "Cargo.lock").read_text())
    packages = lock["package"]
    foreign = [p["name"] for p in packages if p.get("source") not in (None, REGISTRY)]
    if foreign:
        raise SystemExit(f"crates from other places than the registry: {foreign}")
    return {(p["name"], p["version"]): p["checksum"] for p in packages if "checksum" in p}


def component(name: str, version: str, licence: str, checksum: str | None, is_inside: bool) -> dict:
    """Returns the entry of one crate."""
    address = f"pkg:cargo/{name}@{version}"
    entry = {"type": "library", "bom-ref": address, "name": name, "version": version, "purl": address}
    entry["scope"] = "required" if is_inside else "excluded"
    if checksum:
        entry["hashes"] = [{"alg": "SHA-256", "content": checksum}]
    if licence:
        # "A/B" is the old form of "A OR B".
        entry["licenses"] = [{"expression": re.sub(r"\s*/\s*", " OR ", licence)}]
    return entry


def main() -> None:
    if len(sys.argv) not in (4, 5):
        raise SystemExit(__doc__)
    program, package, target = sys.argv[1:4]
    features = sys.argv[4] if len(sys.argv) == 5 else None
    inside = tree(package, target, features, "normal,no-proc-macro")
    everything = tree(package, target, features, "normal,build")
    sums = checksums()
    own = next(key for key in inside if key[0] == package)
    crates = [
        component(name, version, licence, sums.get((name, version)), (name, version) in inside)
        for (name, version), licence in sorted(everything.items())
        if (name, version) != own
    ]
    about = {"type": "application", "bom-ref": program, "name": program, "version": own[1]}
    about["licenses"] = [{"expression": inside[own]}]
    about["properties"] = [{"name": "cargo:target", "value": target}]
    about["properties"] += [{"name": "cargo:features", "value": features}] if features is not None else []
    listed = {"bomFormat": "CycloneDX", "specVersion": "1.5", "version": 1, "metadata": {"component": about}}
    listed["components"] = crates
    number = uuid.uuid5(uuid.NAMESPACE_URL, json.dumps(listed, sort_keys=True))
    listed["serialNumber"] = f"urn:uuid:{number}"
    json.dump(listed, sys.stdout, indent=1, sort_keys=True)
    print()


if __name__ == "__main__":
    main()
