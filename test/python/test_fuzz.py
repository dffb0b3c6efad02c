"""Requests that schemathesis makes from /openapi.json, against `heddle serve` with and without authentication."""

import os
import random
import re
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from conftest import ROOT, Server

FUZZ = Path(__file__).parent / "fuzz"
SECONDS = int(os.environ.get("FUZZ_SECONDS", "30"))
# What a server may not do, whatever it is sent. Not among them: to refuse what the schemas allow (ids that name nothing, graphs
# that there are not), to take fields that they do not name (clients send such, and they are ignored), and to take `PATCH
# /threads/search` for a thread of that name.
CHECKS = [
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "missing_required_header",
    "ignored_auth",
]
MAX_RSS_BYTES = 800 * 1024 * 1024


def rss_bytes(pid: int) -> int:
    status = Path(f"/proc/{pid}/status")
    if not status.exists():
        return 0
    lines = dict(line.split(":", 1) for line in status.read_text().splitlines())
    return int(lines["VmRSS"].split()[0]) * 1024


@pytest.mark.parametrize("config, headers", [("langgraph.json", []), ("with-auth.json", ["Authorization: Bearer fuzz"])])
def test_generated_requests(capsys, config, headers):
    seed = os.environ.get("FUZZ_SEED") or str(random.randrange(2**31))
    server = Server("memory:", config=FUZZ / config)
    try:
        # One worker: with two, CPython 3.11 fails in `ast` now and then ("AST constructor recursion depth mismatch").
        result = subprocess.run(
            [Path(sys.executable).parent / "schemathesis", "--no-color"]
            + ["run", f"{server.url}/openapi.json", "--seed", seed, "--max-time", str(SECONDS), "--workers", "1"]
            + ["--request-timeout", "10", "--no-shrink", "--continue-on-failure", "--checks", ",".join(CHECKS)]
            + [part for header in headers for part in ("--header", header)],
            capture_output=True,
            text=True,
            timeout=SECONDS + 60,
        )
        summary = result.stdout[result.stdout.find("= SUMMARY =") :]
        found = re.search(r"(\d+) generated", summary)
        cases = int(found.group(1)) if found else 0
        with capsys.disabled():
            print(f"\nfuzz: {config}: {cases} cases, FUZZ_SEED={seed}")
        assert result.returncode == 0, f"FUZZ_SEED={seed}\n{result.stdout[-8000:]}{result.stderr[-2000:]}"
        assert cases > 100
        assert server.process.poll() is None
        assert httpx.get(f"{server.url}/ok?check_db=1").json() == {"ok": True}
        assert rss_bytes(server.process.pid) < MAX_RSS_BYTES
    finally:
        code = server.stop()
    assert code == 0, "".join(server.lines[-50:])
