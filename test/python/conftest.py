"""A real Heddle process per storage, driven by the published Python client over a real port."""

import os
import queue
import re
import signal
import subprocess
import tempfile
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from langgraph_sdk import get_sync_client

ROOT = Path(__file__).resolve().parents[2]
START_TIMEOUT_S = 60


class Server:
    """One `heddle serve` on a free port, with the sample graphs."""

    def __init__(
        self, storage: str, variables: dict[str, str] | None = None, config: Path = ROOT / "langgraph.json"
    ) -> None:
        self.storage = storage
        self.config = config
        self.variables = variables or {}
        self.lines: list[str] = []
        self.start()

    def start(self) -> None:
        node = ROOT / "node_modules/.bin/node"
        # Only what a shell would have: no variable of the machine (LANGSMITH_*, DATABASE_URI, …) may change the server.
        environment = {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), "NO_COLOR": "1"} | self.variables
        self.process = subprocess.Popen(
            [node, ROOT / "dist/cli/main.js", "serve", "--config", self.config]
            + ["--host", "127.0.0.1", "--port", "0", "--storage", self.storage, "--no-browser"],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        found: queue.Queue[str | None] = queue.Queue()
        threading.Thread(target=self._read, args=(self.process, found), daemon=True).start()
        try:
            url = found.get(timeout=START_TIMEOUT_S)
        except queue.Empty:
            url = None
        if url is None:
            self.kill()
            raise RuntimeError("the server did not start:\n" + "".join(self.lines))
        self.url = url

    def _read(self, process: subprocess.Popen, found: queue.Queue) -> None:
        for line in process.stdout:
            self.lines.append(line)
            if match := re.search(r"http://127\.0\.0\.1:\d+", line):
                found.put(match.group())
        found.put(None)

    def stop(self) -> int:
        """Ask politely; returns the exit code."""
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            self.kill()
            raise

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(timeout=10)


class FerretDB:
    """MongoDB's stand-in, which scripts/test-python.sh builds; started when it is needed, and ends with this process."""

    process: subprocess.Popen | None = None

    @classmethod
    def uri(cls) -> str:
        if cls.process is None:
            cls.directory = tempfile.TemporaryDirectory(prefix="heddle-ferretdb-")
            # It ends when its standard input is closed.
            cls.process = subprocess.Popen(
                [os.environ["FERRETDB"], "-directory", cls.directory.name],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
            )
            cls.found = cls.process.stdout.readline().strip()
        if not cls.found:
            raise RuntimeError("FerretDB did not start")
        return cls.found


def storage_uri(kind: str, directory: Path) -> str:
    if kind == "mongodb":
        server = os.environ.get("MONGODB_TEST_URI") or FerretDB.uri()
        return re.sub(r"^(mongodb(?:\+srv)?://[^/?]+)/?[^?]*", rf"\1/heddle_{uuid.uuid4().hex[:16]}", server)
    if kind == "postgres":
        # A fresh server of this very run (scripts/with-postgres.mjs), or an empty database of whoever set it.
        return os.environ["POSTGRES_TEST_URI"]
    return "memory:" if kind == "memory" else f"sqlite:{directory / 'heddle.db'}"


STORAGES = ["memory", "sqlite"] + (["postgres"] if "POSTGRES_TEST_URI" in os.environ else [])
if "postgres" not in STORAGES and "CI" in os.environ:
    raise RuntimeError("no Postgres to test on: run `npm run test:python`, which starts one")
if "MONGODB_TEST_URI" in os.environ or "FERRETDB" in os.environ:
    STORAGES.append("mongodb")
elif "CI" in os.environ:
    raise RuntimeError("no MongoDB to test on: run `npm run test:python`, which builds FerretDB")
# FerretDB 1.24 has no indexes but of `_id` and is slow: there are the methods of what has tables of its own.
ON_MONGODB = {"test_assistants.py", "test_crons.py", "test_store.py", "test_threads.py", "test_thread_state.py"}


def pytest_collection_modifyitems(config, items) -> None:
    def belongs(item) -> bool:
        kind = item.callspec.params.get("server") if hasattr(item, "callspec") else None
        return kind != "mongodb" or item.path.name in ON_MONGODB

    config.hook.pytest_deselected(items=[item for item in items if not belongs(item)])
    items[:] = [item for item in items if belongs(item)]


@pytest.fixture(scope="session", params=STORAGES)
def server(request, tmp_path_factory) -> Iterator[Server]:
    running = Server(storage_uri(request.param, tmp_path_factory.mktemp("storage")))
    yield running
    assert running.stop() == 0, "".join(running.lines[-50:])


@pytest.fixture
def client(server):
    with get_sync_client(url=server.url) as opened:
        yield opened


@pytest.fixture
def thread_id(client) -> str:
    return client.threads.create()["thread_id"]


@pytest.fixture
def tag() -> str:
    """A value that no other test uses, to find one's own rows."""
    return uuid.uuid4().hex


def say(text: str) -> dict:
    return {"messages": [{"role": "user", "content": text}]}


def events(stream) -> list:
    return [(part.event, part.data) for part in stream]
