"""What the tests of deploy/ share: programs that are run, a server, and a report in the words of `cargo test`.

SQLITREST_BIN is the server, SQLITREST_SCRATCH a directory for what the tests make."""

import http.client
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from report import main  # noqa: E402, F401

ROOT = Path(__file__).resolve().parents[2]
SERVER = os.environ["SQLITREST_BIN"]
# The longest that anything is waited for, in seconds.
LIMIT = 60


def environment(**more):
    """Ours without what would configure the server, and with `more`."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("SQLITREST_", "LITESTREAM_"))}
    return {**kept, **more}


def scratch(name):
    """An empty directory."""
    directory = Path(os.environ["SQLITREST_SCRATCH"]) / name
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    return directory


def run(*command, code=0, **more):
    """Runs a program, which must end with this exit code; what it wrote."""
    words = [str(word) for word in command]
    more.setdefault("env", environment())
    ended = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=LIMIT, **more)
    if ended.returncode != code:
        raise AssertionError(f"{' '.join(words)}: exit code {ended.returncode}, not {code}\n{ended.stdout}{ended.stderr}")
    return ended.stdout + ended.stderr


class Server:
    """A server that is there while the `with` lasts, or until it is killed."""

    def __init__(self, *arguments, command=(SERVER,), **more):
        words = [str(word) for word in (*command, "serve", *arguments, "--listen", "127.0.0.1:0")]
        self.process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env=environment(**more))
        self.line = self.process.stdout.readline()
        if "http://" not in self.line:
            raise AssertionError(f"{' '.join(words)} does not say where it listens: {self.line}{self.process.wait(LIMIT)}")
        self.address = self.line.split("http://")[1].split()[0].rstrip(",/")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(LIMIT)
        self.process.stdout.close()

    def stop(self):
        """Asks it to end, and waits until it has; its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(LIMIT)

    def client(self):
        """A connection to it."""
        return http.client.HTTPConnection(self.address, timeout=LIMIT)

    def ask(self, target, method="GET", body=None, fields=None):
        """Status and body of an answer."""
        connection = self.client()
        try:
            return send(connection, target, method, body, fields)
        finally:
            connection.close()


def send(connection, target, method="GET", body=None, fields=None):
    """Sends a request with this JSON and these fields; status and body of its answer."""
    text = None if body is None else json.dumps(body)
    kind = {} if text is None else {"Content-Type": "application/json"}
    connection.request(method, target, text, {**kind, **(fields or {})})
    answer = connection.getresponse()
    told = answer.read().decode()
    is_json = answer.headers.get_content_type() == "application/json"
    return answer.status, json.loads(told) if told and is_json else told
