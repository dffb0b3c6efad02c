"""A real Heddle process per storage, driven by the published Python client over a real port."""

import os
import queue
import re
import signal
import subprocess
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


def storage_uri(kind: str, directory: Path) -> str:
    if kind == "postgres":
        # A fresh server of this very run (scripts/with-postgres.mjs), or an empty database of whoever set it.
        return os.environ["POSTGRES_TEST_URI"]
    return "memory:" if kind == "memory" else f"sqlite:{directory / 'heddle.db'}"


STORAGES = ["memory", "sqlite"] + (["postgres"] if "POSTGRES_TEST_URI" in os.environ else [])
if "postgres" not in STORAGES and "CI" in os.environ:
    raise RuntimeError("no Postgres to test on: run `npm run test:python`, which starts one")


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
