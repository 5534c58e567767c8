"""What `cargo xtask dist` packs: RELEASE is the directory of a release, IMAGE the root file system of the image. The image is entered
with nothing but its files, as its user."""

import os
import re
import shutil
import subprocess
import tarfile
import unittest
from pathlib import Path

import yaml

from support import ROOT, Server, environment, main, run, scratch

RELEASE = Path(os.environ["RELEASE"])
IMAGE = Path(os.environ["IMAGE"])
DOCKERFILE = ROOT / "deploy/docker/Dockerfile"
COMPOSE = ROOT / "deploy/docker/compose.yaml"
SECRET = "a secret that is long enough for HS256"


class Release(unittest.TestCase):
    def archive(self):
        [path] = RELEASE.glob("sqlitrest-*.tar.gz")
        return path

    def test_checksums_are_of_all_that_is_in_it(self):
        run("sha256sum", "--check", "--strict", "SHA256SUMS", cwd=RELEASE)
        named = {line.split("  ")[1] for line in (RELEASE / "SHA256SUMS").read_text().splitlines()}
        self.assertEqual(named, {path.name for path in RELEASE.iterdir()} - {"SHA256SUMS"})

    def test_the_archive_is_complete(self):
        folder = self.archive().name.removesuffix(".tar.gz")
        with tarfile.open(self.archive()) as archive:
            members = {member.name.removeprefix(f"{folder}/"): member for member in archive if member.isfile()}
            archive.extractall(scratch("archive"))
        self.assertLessEqual(
            {"sqlitrest", "LICENSE-MIT", "LICENSE-APACHE", "THIRD-PARTY.txt", "README.md", "CHANGELOG.md", "sqlitrest.service"}
            | {f"completions/{name}" for name in ("sqlitrest.bash", "_sqlitrest", "sqlitrest.fish", "_sqlitrest.ps1")},
            set(members),
        )
        owners = {(member.uid, member.gid, member.mtime) for member in members.values()}
        self.assertEqual(owners, {(0, 0, 0)}, "the same on each machine")
        self.assertEqual([member.mode for member in (members["sqlitrest"], members["README.md"])], [0o755, 0o644])
        unpacked = Path(os.environ["SQLITREST_SCRATCH"]) / "archive" / folder
        version = re.match(r"sqlitrest-([^-]+)-", folder)[1]
        self.assertEqual(run(unpacked / "sqlitrest", "--version"), f"sqlitrest {version}\n")
        run("bash", "-n", unpacked / "completions/sqlitrest.bash")

    def test_whose_code_is_in_it_is_told(self):
        told = (RELEASE / "THIRD-PARTY.txt").read_text()
        named = {line.split(" ")[0] for line in told.split("\n\n")[1].splitlines()}
        # A crate of the server, one of the component alone, one with C in it; and one that only tests have.
        self.assertLessEqual({"wasmtime", "spin-sdk", "libsqlite3-sys"}, named)
        self.assertFalse({"proptest", "rcgen", "sqlitrest"} & named)
        for words in ("Apache License", "Meta Platforms, Inc.", "Microsoft Corporation, Daan Leijen"):
            self.assertTrue(words in told, words)
        # Of two that a part may be taken by, the one that it is.
        self.assertFalse("GNU GENERAL PUBLIC LICENSE" in told)

    def test_the_component_is_one(self):
        [component] = RELEASE.glob("sqlitrest-guest-*.wasm")
        self.assertEqual(component.read_bytes()[:8], b"\0asm\x0d\0\x01\0")


class Root:
    """A copy of the image's files. What the server here is linked with is laid beside them: what is released is linked statically."""

    def __init__(self, name):
        self.path = scratch(name) / "root"
        shutil.copytree(IMAGE, self.path, symlinks=True)
        told = subprocess.run(["ldd", self.path / "usr/bin/sqlitrest"], capture_output=True, text=True).stdout
        for library in re.findall(r"(?:=> |^\t)(/\S+) \(", told, re.MULTILINE):
            to = self.path / library.lstrip("/")
            to.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(library, to)
        self.user = re.search(r"^ARG USER=(\d+):", DOCKERFILE.read_text(), re.MULTILINE)[1]
        # As COPY --chown does.
        if os.geteuid() == 0:
            os.chown(self.path / "data", int(self.user), int(self.user))

    def command(self):
        """What runs the program inside, where it sees nothing of what is outside."""
        who = ["--setuid", self.user, "--setgid", self.user] if os.geteuid() == 0 else ["--user", "--map-root-user"]
        return ["unshare", *who, "--root", str(self.path), "--wd", "/data", "/usr/bin/sqlitrest"]

    def files(self):
        """All that there is but what is written on purpose."""
        every = (path.relative_to(self.path) for path in self.path.rglob("*"))
        return sorted(str(path) for path in every if path.parts[0] not in ("data", "tmp"))


class Image(unittest.TestCase):
    def test_it_needs_nothing_else(self):
        """What compose.yaml does, in the image's files alone: migrations, a token, requests, with both engines."""
        service = yaml.safe_load(COMPOSE.read_text())["services"]["sqlitrest"]
        for engine in ("native", "component"):
            root = Root(f"image-{engine}")
            inside = root.command()
            # What compose mounts.
            shutil.copy(COMPOSE.parent / "sqlitrest.toml", root.path / "etc/sqlitrest")
            shutil.copytree(COMPOSE.parent / "migrations", root.path / "migrations")
            given = dict(re.findall(r"(SQLITREST_\w+)=(\S+)", DOCKERFILE.read_text()))
            self.assertEqual(given, {"SQLITREST_SERVER_HOST": "0.0.0.0", "SQLITREST_SERVER_PORT": "3000"})
            given |= {"SQLITREST_CONFIG": service["environment"]["SQLITREST_CONFIG"], "JWT_SECRET": SECRET}
            before = root.files()
            self.assertIn("V001__notes.sql", run(*inside, "db", "migrate", "/migrations", "--create", env=environment(**given)))
            token = run(*inside, "token", "--role", "author", env=environment(**given)).strip()
            with Server("--engine", engine, command=inside, **given) as server:
                self.assertEqual(server.ask("/health/ready")[0], 200, engine)
                self.assertEqual(server.ask("/notes")[0], 401)
                signed = {"Authorization": f"Bearer {token}"}
                self.assertEqual(server.ask("/notes", "POST", {"body": "from within"}, signed)[0], 201)
                self.assertEqual(server.ask("/notes?select=id,body", fields=signed), (200, [{"id": 1, "body": "from within"}]))
                self.assertEqual(server.stop(), 0)
            self.assertEqual(root.files(), before, "nothing is written but data")
            self.assertEqual([path.name for path in (root.path / "data").iterdir()], ["main.db"])


if __name__ == "__main__":
    main()
