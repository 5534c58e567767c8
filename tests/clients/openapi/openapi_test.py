"""The documents against validators, and the server against its document: openapi-spec-validator and schemathesis.

xtask says where the server listens (API_URL), what it serves (DATABASE, CONFIG) and where the program is (SQLITREST_BIN).
"""

import hashlib
import json
import os
import re
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path
from urllib.request import Request, urlopen

from openapi_spec_validator import validate

HERE = Path(__file__).parent
API = os.environ["API_URL"]
DATABASE = os.environ["DATABASE"]
NAME = Path(DATABASE).stem
VERSIONS = {"2.0": ("swagger", "2.0"), "3.0": ("openapi", "3.0.3"), "3.1": ("openapi", "3.1.0")}

# Whose every parameter is tried with every kind of value: that is hundreds of requests for each method.
COVERED = {"chinook": "/(Track|rpc/add)$", "northwind": "/Order%20Details$", "keys": "/_batch$"}

# Where the same happens over and over, a part of it.
ONLY = {"keys": "^/(hub|t1|t99|_batch)$"}

# How many requests there are of each operation beside those.
EXAMPLES = 40 if "SQLITREST_NIGHTLY" in os.environ else 2


def get(version):
    with urlopen(Request(f"{API}/?openapi={version}", headers={"Accept": "application/openapi+json"})) as answer:
        return json.load(answer)


def validated(document):
    """Validates a document, unless the very same was valid before: the engines give the same, and a large one takes seconds."""
    text = json.dumps(document, sort_keys=True)
    mark = Path(sys.prefix) / "valid" / hashlib.sha256(text.encode()).hexdigest()
    if not mark.exists():
        validate(document)
        mark.parent.mkdir(exist_ok=True)
        mark.touch()


def seeds():
    """Those that are kept, and a new one by night."""
    lines = (HERE / "seeds.txt").read_text().splitlines()
    kept = [line.split("#")[0].strip() for line in lines]
    night = [str(int.from_bytes(os.urandom(8), "big"))] if "SQLITREST_NIGHTLY" in os.environ else []
    return [seed for seed in kept if seed] + night


class Documents(unittest.TestCase):
    def test_each_version_is_valid(self):
        for version, (member, expected) in VERSIONS.items():
            with self.subTest(version):
                document = get(version)
                self.assertEqual(document[member], expected)
                self.assertGreater(len(document["paths"]), 5)
                validated(document)

    def test_the_command_prints_what_is_served(self):
        for version in VERSIONS:
            with self.subTest(version):
                program = [os.environ["SQLITREST_BIN"], "openapi", "--version", version]
                program += ["--database", DATABASE, "--config", os.environ["CONFIG"]]
                printed = json.loads(subprocess.run(program, check=True, capture_output=True).stdout)
                served = get(version)
                # The command knows of no request, and of no host.
                served.pop("host", None)
                self.assertEqual(printed, served)


class Server(unittest.TestCase):
    """Every request that the document allows is answered as it says, and every other is refused."""

    def test_schemathesis(self):
        own = (HERE / "schemathesis.toml").read_text()
        if "SQLITREST_NIGHTLY" not in os.environ:
            own += f"\n[[operations]]\ninclude-path-regex = '^(?!{COVERED[NAME]})'\nphases.coverage.enabled = false\n"
        for seed in seeds():
            with self.subTest(seed), tempfile.TemporaryDirectory() as directory:
                config = Path(directory) / "schemathesis.toml"
                config.write_text(own)
                program = [Path(sys.executable).with_name("st"), "--config-file", config, "--no-color", "run", f"{API}/"]
                program += ["--seed", seed, "--workers", "1", "--warnings", "off", "--max-examples", str(EXAMPLES)]
                program += ["--phases", "examples,coverage,fuzzing"]
                if NAME in ONLY:
                    program += ["--include-path-regex", ONLY[NAME]]
                ended = subprocess.run(program, capture_output=True, text=True, cwd=directory)
                # What it found, with the seed and the requests that show it again.
                self.assertEqual(ended.returncode, 0, ended.stdout[-20000:] + ended.stderr[-2000:])
                tested = re.search(r"Tested: (\d+)", ended.stdout)
                self.assertGreater(int(tested[1]), 10)


if __name__ == "__main__":
    sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../.."))
    import report

    report.main()
