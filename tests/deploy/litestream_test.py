"""Litestream as deploy/litestream/litestream.yml sets it up, beside the server: LITESTREAM is the program. Both are killed while rows
are written; what is restored has every row that was there at the last sync, in the order in which they were written, and is served."""

import http.client
import os
import sqlite3
import subprocess
import threading
import unittest

from support import LIMIT, ROOT, SERVER, Server, environment, main, run, scratch, send

LITESTREAM = os.environ["LITESTREAM"]
SETUP = ROOT / "deploy/litestream/litestream.yml"
# What docs/deployment.md says that the server has to be told.
CONFIG = """
[databases.main]
path = "main.db"
hidden = ["_litestream_*"]
[pool]
wal_checkpoint_interval = "0s"
"""
WRITERS = 4
# So many rows of about 2 KB are more than 1,000 pages, at which Litestream moves the write-ahead log.
ROWS = 3_000


class Litestream:
    """Litestream while the `with` lasts, with a socket on which it takes commands."""

    def __init__(self, directory):
        self.directory, self.socket = directory, directory / "litestream.sock"
        self.socket.unlink(missing_ok=True)
        self.environment = environment(
            LITESTREAM_DATABASE=str(directory / "main.db"), LITESTREAM_REPLICA_URL=f"file://{directory}/replica"
        )
        setup = directory / "litestream.yml"
        setup.write_text(SETUP.read_text() + f"\nsocket:\n  enabled: true\n  path: {self.socket}\n")
        command = [LITESTREAM, "replicate", "-config", setup]
        self.process = subprocess.Popen(command, env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.lines = []
        started = threading.Event()
        self.reader = threading.Thread(target=self.read, args=(started,))
        self.reader.start()
        assert started.wait(LIMIT), "Litestream does not start"

    def read(self, started):
        for line in self.process.stdout:
            self.lines.append(line)
            # The last that it says before it works. With an end of its own it has no more to say.
            if "starting compaction monitor" in line:
                started.set()
        started.set()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait(LIMIT)
        self.reader.join()
        self.process.stdout.close()

    def sync(self):
        """Returns when the replica has what was written before."""
        run(LITESTREAM, "sync", "-wait", "-socket", self.socket, self.directory / "main.db", env=self.environment)

    def wrong(self):
        """What it said that is not well. What a lock kept it from it tries again, and may say so once."""

        def passes(line):
            return "SQLITE_BUSY" in line and "consecutive_errors=1 " in line

        return [line for line in self.lines if ("level=ERROR" in line or "level=WARN" in line) and not passes(line)]

    def restore(self, name):
        """The restored database."""
        to = self.directory / name
        setup, database = self.directory / "litestream.yml", self.directory / "main.db"
        run(LITESTREAM, "restore", "-config", setup, "-o", to, database, env=self.environment)
        return to


class Load:
    """Rows written over several connections; which of them were acknowledged."""

    def __init__(self, server):
        self.server, self.lock = server, threading.Lock()
        self.acknowledged, self.refused, self.sent = set(), [], 0
        self.enough, self.over = threading.Event(), threading.Event()
        self.threads = [threading.Thread(target=self.write) for _ in range(WRITERS)]
        for thread in self.threads:
            thread.start()

    def write(self):
        connection = self.server.client()
        while not self.over.is_set():
            with self.lock:
                self.sent += 1
                body = f"note {self.sent} " + "x" * 2_000
            try:
                status, _ = send(connection, "/notes", "POST", {"body": body})
            except (OSError, http.client.HTTPException):
                # The server is gone.
                break
            with self.lock:
                if status != 201:
                    self.refused.append(status)
                    break
                self.acknowledged.add(body)
                if len(self.acknowledged) >= ROWS:
                    self.enough.set()
        # Whoever waits for rows is not to wait for ever.
        self.enough.set()
        connection.close()

    def so_far(self):
        with self.lock:
            return set(self.acknowledged)

    def end(self):
        self.over.set()
        for thread in self.threads:
            thread.join(LIMIT)


def rows(database):
    """What is in a database, which must be whole."""
    with sqlite3.connect(f"file:{database}?mode=ro", uri=True) as sql:
        assert sql.execute("PRAGMA integrity_check").fetchall() == [("ok",)], database
        found = sql.execute("SELECT id, body FROM notes ORDER BY id").fetchall()
    sql.close()
    return found


def served(directory, engine):
    config = directory / "sqlitrest.toml"
    config.write_text(CONFIG)
    return Server("--config", config, "--engine", engine)


class Replica(unittest.TestCase):
    def test_what_was_synced_survives_the_machine(self):
        directory = scratch("litestream")
        database = directory / "main.db"
        run(SERVER, "db", "migrate", ROOT / "deploy/docker/migrations", "--create", "--database", database)
        with served(directory, "native") as server, Litestream(directory) as litestream:
            load = Load(server)
            try:
                self.assertTrue(load.enough.wait(LIMIT), "the load is too slow")
                synced = load.so_far()
                self.assertGreaterEqual(len(synced), ROWS)
                litestream.sync()
                # Both in the middle of their work.
                server.process.kill()
                litestream.process.kill()
            finally:
                load.end()
            litestream.process.wait(LIMIT)
            restored = litestream.restore("restored.db")
            self.assertEqual(litestream.wrong(), [])
        acknowledged = load.so_far()
        self.assertEqual(load.refused, [])
        self.assertGreater(load.sent, len(synced), "rows were written to the end")
        found, original = rows(restored), rows(database)
        self.assertLessEqual(synced, {body for _, body in found}, "what was synced is restored")
        self.assertLessEqual(acknowledged, {body for _, body in original}, "what was acknowledged is in the file")
        self.assertEqual(found, original[: len(found)], "what is restored is one moment of the file")

        self.goes_on(directory, original)
        self.serves(directory, restored, found)

    def goes_on(self, directory, original):
        """After the crash both start over, and the replica catches up. The server ends first, then Litestream: the log stays."""
        with served(directory, "component") as server, Litestream(directory) as litestream:
            self.assertEqual(server.ask("/notes", "POST", {"body": "after the crash"})[0], 201)
            litestream.sync()
            self.assertEqual(server.stop(), 0)
            self.assertGreater(os.path.getsize(directory / "main.db-wal"), 0, "the log is Litestream's to move")
            litestream.sync()
            restored = litestream.restore("again.db")
            self.assertEqual(litestream.wrong(), [])
        self.assertEqual([body for _, body in rows(restored)], [body for _, body in original] + ["after the crash"])

    def serves(self, directory, restored, found):
        """What is restored is a database like any, and Litestream's own tables are not exposed."""
        os.replace(restored, directory / "main.db")
        for end in ("-wal", "-shm"):
            (directory / f"main.db{end}").unlink(missing_ok=True)
        with served(directory, "component") as server:
            status, told = server.ask("/notes?select=id,body&order=id")
            self.assertEqual((status, [(row["id"], row["body"]) for row in told]), (200, found))
            self.assertEqual(server.ask("/_litestream_seq")[0], 404)
            self.assertEqual(server.ask("/notes", "POST", {"body": "new"})[0], 201)
            self.assertEqual(server.stop(), 0)


if __name__ == "__main__":
    main()
