"""Prints whose code a release holds and on which terms: argv[1] is the target, argv[2:] are the packages that it is built of.
`cargo metadata` is read from standard input."""
import json
import os
import re
import sys

NAMES = re.compile(r"(?i)^(licen[cs]es?|copying|copyright|notice|unlicense)([-_.].*)?$")
# Sources of other people lie as deep as this in a package: libmimalloc-sys/c_src/mimalloc/LICENSE.
DEPTH = 3


def dependencies(metadata, roots):
    """The ids of all packages that are compiled into these: neither what builds them nor what tests them."""
    nodes = {node["id"]: node for node in metadata["resolve"]["nodes"]}
    found, todo = set(), list(roots)
    while todo:
        package = todo.pop()
        if package in found:
            continue
        found.add(package)
        for dependency in nodes[package]["deps"]:
            if any(kind["kind"] is None for kind in dependency["dep_kinds"]):
                todo.append(dependency["pkg"])
    return found


def texts(directory):
    """The files of licences below a directory."""
    for folder, folders, files in os.walk(directory):
        if os.path.relpath(folder, directory).count(os.sep) + 1 >= DEPTH:
            folders.clear()
        folders[:] = sorted(name for name in folders if name not in ("target", "tests", "benches"))
        found = [name for name in sorted(files) if NAMES.match(name) and not name.endswith((".rs", ".py", ".c", ".h"))]
        # zstd, which may be taken by either, has BSD's terms in LICENSE and GNU's in COPYING.
        if any(name.lower().startswith("licen") for name in found):
            found = [name for name in found if not name.lower().startswith("copying")]
        for name in found:
            with open(os.path.join(folder, name), encoding="utf-8", errors="replace") as file:
                yield file.read().replace("\r\n", "\n").strip()


def main():
    target, names = sys.argv[1], sys.argv[2:]
    metadata = json.load(sys.stdin)
    packages = {package["id"]: package for package in metadata["packages"]}
    members = set(metadata["workspace_members"])
    roots = [id for id in members if packages[id]["name"] in names]
    assert len(roots) == len(names), f"no such packages: {names}"
    foreign = [packages[id] for id in dependencies(metadata, roots) - members]
    foreign.sort(key=lambda package: (package["name"], package["version"]))
    carried = {}
    print(f"What {', '.join(names)} for {target} is built of beside its own code, and on which terms.\n")
    for package in foreign:
        name = f"{package['name']} {package['version']}"
        terms = package["license"] or "see its text below"
        print(f"{name}: {terms} ({package['repository'] or 'https://crates.io/crates/' + package['name']})")
        for text in texts(os.path.dirname(package["manifest_path"])):
            # Copies differ in where their lines break.
            carried.setdefault(" ".join(text.split()), (text, []))[1].append(name)
    print("\nSQLite, in libsqlite3-sys, is in the public domain. The texts that these packages carry follow.")
    for text, names in carried.values():
        print(f"\n{'=' * 100}\n{', '.join(dict.fromkeys(names))}\n{'=' * 100}\n\n{text}")


main()
