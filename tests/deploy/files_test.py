"""The files of deploy/ and .github/ by the tools that know what may stand in them, and what they say about each other. TOOLS is where
the programs of requirements.txt are, and IMAGE the root file system that the image gets."""

import json
import os
import re
import tomllib
import unittest
from pathlib import Path

import yaml

from support import ROOT, SERVER, Server, environment, main, run, scratch

TOOLS = Path(os.environ["TOOLS"])
IMAGE = Path(os.environ["IMAGE"])
DOCKERFILE = ROOT / "deploy/docker/Dockerfile"
COMPOSE = ROOT / "deploy/docker/compose.yaml"
KUBERNETES = ROOT / "deploy/kubernetes/sqlitrest.yaml"
SECRET = "a secret that is long enough for HS256"


def tool(name, *arguments, **more):
    return run(TOOLS / name, *arguments, cwd=ROOT, **more)


def instruction(name):
    """What stands behind an instruction of the Dockerfile's last stage."""
    stage = DOCKERFILE.read_text().split("\nFROM ")[-1].replace("\\\n", " ")
    return re.findall(rf"^{name} (.*)$", stage, re.MULTILINE)[-1]


def user():
    """The numbers of the user that the image runs as."""
    return re.search(r"^ARG USER=(\d+:\d+)$", DOCKERFILE.read_text(), re.MULTILINE)[1]


def resources():
    """Kubernetes' objects by kind and name."""
    return {(of["kind"], of["metadata"]["name"]): of for of in yaml.safe_load_all(KUBERNETES.read_text())}


def database(directory, migrations):
    """A database made as the init container and compose's first service make theirs."""
    path = directory / "main.db"
    run(SERVER, "db", "migrate", migrations, "--create", "--database", path)
    return path


class GitHub(unittest.TestCase):
    def test_workflows_are_what_github_takes(self):
        workflows = sorted(ROOT.glob(".github/workflows/*.yml"))
        self.assertEqual([path.name for path in workflows], ["ci.yml", "release.yml"])
        tool("check-jsonschema", "--builtin-schema", "vendor.github-workflows", *workflows)
        tool("check-jsonschema", "--builtin-schema", "vendor.dependabot", ROOT / ".github/dependabot.yml")

    def test_workflows_give_nothing_away(self):
        told = tool("zizmor", "--offline", "--no-progress", "--color", "never", ".github")
        self.assertIn("No findings to report", told)

    def test_workflows_name_commands_that_there_are(self):
        text = "".join(path.read_text() for path in ROOT.glob(".github/workflows/*.yml")) + DOCKERFILE.read_text()
        known = (ROOT / "xtask/src/main.rs").read_text()
        named = set(re.findall(r"cargo xtask [a-z]+(?: --[a-z]+)?", text))
        self.assertEqual(named, {"cargo xtask test", "cargo xtask dist --static"})
        for command in named:
            self.assertIn(f"\n{command} ", known)


class Licences(unittest.TestCase):
    def test_every_crate_may_be_used(self):
        # Of vulnerabilities the workflow asks, for these are looked up elsewhere.
        told = tool("cargo-deny", "--offline", "check", "licenses", "bans", "sources")
        self.assertIn("bans ok, licenses ok, sources ok", told)
        self.assertNotIn("warning", told)


class Image(unittest.TestCase):
    def test_the_dockerfile_is_one(self):
        tool("hadolint", DOCKERFILE)

    def test_it_runs_what_is_in_it(self):
        program = json.loads(instruction("ENTRYPOINT"))[0]
        self.assertTrue(os.access(IMAGE / program.lstrip("/"), os.X_OK), program)
        for directory in [instruction("WORKDIR"), *json.loads(instruction("VOLUME"))]:
            self.assertTrue((IMAGE / directory.lstrip("/")).is_dir(), directory)
        self.assertEqual(instruction("USER"), "${USER}")
        self.assertEqual(instruction("COPY"), "--from=root --chown=${USER} /${TARGETARCH}/data/ /data/")

    def test_what_is_sent_to_the_builder_has_what_it_copies(self):
        ignored = (ROOT / ".dockerignore").read_text().split("\n")
        self.assertIn("!/target/dist/images", ignored)
        self.assertIn("/target", ignored)


class Compose(unittest.TestCase):
    def test_it_is_what_compose_takes(self):
        tool("check-jsonschema", "--builtin-schema", "vendor.compose-spec", COMPOSE)

    def test_every_service_is_confined(self):
        services = yaml.safe_load(COMPOSE.read_text())["services"]
        self.assertEqual(set(services), {"migrate", "sqlitrest", "litestream"})
        for name, service in services.items():
            confined = {key: service.get(key) for key in ("read_only", "cap_drop", "security_opt")}
            expected = {"read_only": True, "cap_drop": ["ALL"], "security_opt": ["no-new-privileges:true"]}
            self.assertEqual(confined, expected, name)
        self.assertEqual(services["litestream"]["user"], user(), "who owns the database")

    def test_what_it_serves_is_in_order(self):
        services = yaml.safe_load(COMPOSE.read_text())["services"]
        folder, given = COMPOSE.parent, scratch("compose")
        mounted = dict(volume.split(":")[:2][::-1] for volume in services["sqlitrest"]["volumes"])
        self.assertEqual(services["migrate"]["command"], ["db", "migrate", "/migrations", "--create"])
        path = database(given, folder / mounted["/migrations"])
        config = folder / mounted[services["sqlitrest"]["environment"]["SQLITREST_CONFIG"]]
        asked = {"env": environment(JWT_SECRET=SECRET, SQLITREST_DATABASES_MAIN_PATH=str(path))}
        run(SERVER, "check", "--strict", "--config", config, **asked)
        self.assertTrue(tomllib.loads(config.read_text())["databases"]["main"]["path"].startswith("/data/"))


class Kubernetes(unittest.TestCase):
    def test_it_is_what_kubernetes_takes(self):
        told = tool("kubernetes-validate", "--strict", KUBERNETES)
        self.assertEqual(told.count(" passed for resource "), len(resources()), told)

    def test_names_lead_to_what_is_there(self):
        there = resources()
        pods = there["StatefulSet", "sqlitrest"]["spec"]["template"]["spec"]
        for volume in pods["volumes"]:
            if "configMap" in volume:
                self.assertIn(("ConfigMap", volume["configMap"]["name"]), there)
        claims = there["StatefulSet", "sqlitrest"]["spec"]["volumeClaimTemplates"]
        volumes = {volume["name"] for volume in pods["volumes"]} | {claim["metadata"]["name"] for claim in claims}
        [server], [migrate] = pods["containers"], pods["initContainers"]
        for container in (server, migrate):
            self.assertEqual({mount["name"] for mount in container["volumeMounts"]}, volumes)
        ports = {port["name"]: port["containerPort"] for port in server["ports"]}
        self.assertEqual(ports, {"http": int(instruction("EXPOSE")), "admin": 3001})
        self.assertEqual(there["Service", "sqlitrest"]["spec"]["ports"][0]["targetPort"], "http")
        labels = there["StatefulSet", "sqlitrest"]["spec"]["template"]["metadata"]["labels"]
        self.assertEqual(there["Service", "sqlitrest"]["spec"]["selector"], labels)
        self.assertEqual(there["NetworkPolicy", "sqlitrest"]["spec"]["podSelector"]["matchLabels"], labels)
        version = tomllib.loads((ROOT / "Cargo.toml").read_text())["workspace"]["package"]["version"]
        self.assertTrue(server["image"].endswith(f":{version}"), server["image"])

    def test_it_is_confined(self):
        pods = resources()["StatefulSet", "sqlitrest"]["spec"]["template"]["spec"]
        self.assertFalse(pods["automountServiceAccountToken"])
        context = pods["securityContext"]
        self.assertEqual((context["runAsNonRoot"], context["seccompProfile"]["type"]), (True, "RuntimeDefault"))
        self.assertEqual(f"{context['runAsUser']}:{context['runAsGroup']}", user())
        for container in pods["containers"] + pods["initContainers"]:
            expected = {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            self.assertEqual(container["securityContext"], expected)

    def test_probes_ask_what_is_answered(self):
        there, given = resources(), scratch("kubernetes")
        migrations = given / "migrations"
        migrations.mkdir()
        for name, text in there["ConfigMap", "sqlitrest-migrations"]["data"].items():
            (migrations / name).write_text(text)
        path, secret = database(given, migrations), given / "jwt-secret"
        secret.write_text(SECRET)
        text = there["ConfigMap", "sqlitrest"]["data"]["sqlitrest.toml"]
        for kept, ours in [("/data/main.db", path), ("/var/run/secrets/sqlitrest/jwt-secret", secret), ("0.0.0.0:3001", "127.0.0.1:0")]:
            self.assertEqual(text.count(kept), 1, kept)
            text = text.replace(kept, str(ours))
        config = given / "sqlitrest.toml"
        config.write_text(text)
        [server] = there["StatefulSet", "sqlitrest"]["spec"]["template"]["spec"]["containers"]
        with Server("--config", config, "--engine", "component") as running:
            for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
                asks = server[probe]["httpGet"]
                self.assertEqual(asks["port"], "http")
                self.assertEqual(running.ask(asks["path"])[0], 200, probe)
            self.assertEqual(running.ask("/notes")[0], 401, "who does not sign in gets nothing")


class Systemd(unittest.TestCase):
    def unit(self, given):
        """The unit, with the server that is here."""
        text = (ROOT / "deploy/systemd/sqlitrest.service").read_text()
        self.assertEqual(text.count("/usr/local/bin/sqlitrest "), 1)
        path = given / "sqlitrest.service"
        path.write_text(text.replace("/usr/local/bin/sqlitrest ", f"{SERVER} "))
        return path

    def test_units_are_what_systemd_takes(self):
        given = scratch("systemd")
        unit = self.unit(given)
        self.assertEqual(run("systemd-analyze", "verify", "--man=no", unit), "")
        # Litestream's own unit is not here: what is added to it is added to another.
        (given / "litestream.service").write_text("[Service]\nExecStart=/bin/true\n")
        (given / "litestream.service.d").mkdir()
        added = ROOT / "deploy/systemd/litestream.conf"
        (given / "litestream.service.d/sqlitrest.conf").write_text(added.read_text())
        self.assertEqual(run("systemd-analyze", "verify", "--man=no", given / "litestream.service"), "")

    def test_the_unit_is_confined(self):
        told = run("systemd-analyze", "security", "--offline=true", "--threshold=15", "--no-pager", self.unit(scratch("security")))
        self.assertIn("Overall exposure level for sqlitrest.service: 1.", told)


if __name__ == "__main__":
    main()
