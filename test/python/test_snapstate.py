"""SnapState's published client (snapstate-sdk) against Heddle: its README's example and every method, sync and async."""

import asyncio
import hashlib
import hmac
import json
import queue
import threading
import uuid
from collections.abc import Iterator
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest
from snapstate_sdk import SnapStateClient
from snapstate_sdk.errors import (
    AuthError,
    ConflictError,
    NotFoundError,
    PayloadTooLargeError,
    RateLimitError,
    SnapStateError,
    ValidationError,
)

from conftest import STORAGES, Server, storage_uri

PROTOCOLS = {"HEDDLE_PROTOCOLS": json.dumps(["snapstate"])}
AUTH = {"LANGGRAPH_AUTH": json.dumps({"path": "./test/python/owners_auth.ts:auth"})}


@pytest.fixture(scope="module", params=STORAGES)
def mounted(request, tmp_path_factory) -> Iterator[Server]:
    server = Server(storage_uri(request.param, tmp_path_factory.mktemp("storage")), PROTOCOLS)
    yield server
    assert server.stop() == 0, "".join(server.lines[-50:])


def base_url(server: Server) -> str:
    return f"{server.url}/snapstate"


@pytest.fixture
def client(mounted: Server) -> Iterator[SnapStateClient]:
    with SnapStateClient(api_key="snp_any", base_url=base_url(mounted)) as opened:
        yield opened


def fresh() -> str:
    return f"wf-{uuid.uuid4().hex[:8]}"


def test_the_readmes_example(client: SnapStateClient) -> None:
    workflow = fresh()
    result = client.save(
        workflow_id=workflow,
        step=1,
        label="sources_gathered",
        state={"sources": ["arxiv.org/123"], "progress": 0.25},
    )
    assert result.checkpoint_id == f"cp_{workflow}_001" and result.etag.startswith('"')
    resumed = client.resume(workflow)
    assert resumed.latest_checkpoint.step == 1
    assert resumed.latest_checkpoint.state == {"sources": ["arxiv.org/123"], "progress": 0.25}
    history = client.replay(workflow)
    assert [(checkpoint.step, checkpoint.label) for checkpoint in history.checkpoints] == [(1, "sources_gathered")]


def test_the_readmes_agent(client: SnapStateClient) -> None:
    agent_id, workflow = f"research-bot-{uuid.uuid4().hex[:6]}", fresh()
    agent = client.register_agent(
        agent_id=agent_id,
        name="Research Bot",
        description="Searches and summarizes sources",
        capabilities=["web_search", "summarization"],
        metadata={"model": "some-model", "version": "2.0.0"},
    )
    assert (agent.agent_id, agent.name, agent.last_seen_at) == (agent_id, "Research Bot", None)
    client.save(workflow_id=workflow, step=1, state={"findings": [1]}, agent_id=agent_id)
    assert client.resume(workflow).latest_checkpoint.agent_id == agent_id
    listed = client.list_agents()
    assert listed[0].agent_id == agent_id and listed[0].last_seen_at is not None
    assert listed[0].capabilities == ["web_search", "summarization"]


def test_every_field(client: SnapStateClient) -> None:
    workflow = fresh()
    first = client.save(workflow_id=workflow, step=1, state={"a": 1, "b": {"c": [1, 2]}}, metadata={"k": "v"}, ttl_seconds=60)
    assert first.diff_from_previous == {"added": ["a", "b.c[0]", "b.c[1]"], "removed": [], "changed": []}
    second = client.save(workflow_id=workflow, step=2, state={"a": 2, "b": {"c": [1]}})
    assert second.diff_from_previous == {"added": [], "removed": ["b.c[1]"], "changed": ["a"]}
    read = client.get(first.checkpoint_id)
    assert (read.state, read.metadata, read.etag) == ({"a": 1, "b": {"c": [1, 2]}}, {"k": "v"}, first.etag)
    assert (read.created_at, read.size_bytes) == (first.created_at, len(b'{"a":1,"b":{"c":[1,2]}}'))
    resumed = client.resume(workflow)
    assert resumed.total_checkpoints == 2 and resumed.workflow_started_at == first.created_at
    assert resumed.last_activity_at == second.created_at and resumed.latest_checkpoint.etag == second.etag
    page = client.replay(workflow, from_step=1, to_step=2, limit=1)
    assert ([checkpoint.step for checkpoint in page.checkpoints], page.total, page.has_more) == ([1], 1, True)


def test_errors_and_etags(client: SnapStateClient, mounted: Server) -> None:
    workflow = fresh()
    saved = client.save(workflow_id=workflow, step=1, state={"a": 1})
    with pytest.raises(ConflictError) as conflict:
        client.save(workflow_id=workflow, step=1, state={"a": 2})
    assert (conflict.value.status_code, conflict.value.code) == (409, "CONFLICT")
    assert client.save(workflow_id=workflow, step=1, state={"a": 2}, if_match=saved.etag).etag == saved.etag
    with pytest.raises(ConflictError):
        client.save(workflow_id=workflow, step=1, state={"a": 2}, if_match='"0000000000000000"')
    with pytest.raises(NotFoundError):
        client.get("cp_nothing_001")
    with pytest.raises(NotFoundError):
        client.resume(fresh())
    assert client.replay(fresh()).checkpoints == []
    with pytest.raises(ValidationError) as invalid:
        client.save(workflow_id=workflow, step=-1, state={})
    assert invalid.value.code == "VALIDATION_ERROR"
    with pytest.raises(PayloadTooLargeError):
        client.save(workflow_id=workflow, step=2, state={"text": "x" * 1_048_576})
    with pytest.raises(ValidationError):
        client.replay(workflow, limit=0)


def test_async_methods(mounted: Server) -> None:
    async def main() -> None:
        workflow, agent_id = fresh(), f"agent-{uuid.uuid4().hex[:6]}"
        async with SnapStateClient(api_key="snp_any", base_url=base_url(mounted)) as client:
            saves = [client.async_save(workflow_id=workflow, step=step, state={"step": step}) for step in range(5)]
            results = await asyncio.gather(*saves)
            assert sorted(result.step for result in results) == [0, 1, 2, 3, 4]
            assert (await client.async_get(f"cp_{workflow}_003")).state == {"step": 3}
            assert (await client.async_resume(workflow)).total_checkpoints == 5
            replay = await client.async_replay(workflow, limit=2)
            assert (replay.total, replay.has_more) == (2, True)
            await client.async_register_agent(agent_id, name="n")
            assert agent_id in [agent.agent_id for agent in await client.async_list_agents()]
            with pytest.raises(ConflictError):
                await client.async_save(workflow_id=workflow, step=0, state={})

    asyncio.run(main())


def test_an_unknown_caller(tmp_path) -> None:
    server = Server("memory:", PROTOCOLS | AUTH)
    try:
        with SnapStateClient(api_key="not a name", base_url=base_url(server)) as client:
            with pytest.raises(AuthError) as refused:
                client.list_agents()
            assert refused.value.code == "UNAUTHORIZED"
        with SnapStateClient(api_key="ann", base_url=base_url(server)) as ann:
            workflow = fresh()
            saved = ann.save(workflow_id=workflow, step=1, state={"secret": 1})
        with SnapStateClient(api_key="bob", base_url=base_url(server)) as bob:
            with pytest.raises(NotFoundError):
                bob.get(saved.checkpoint_id)
    finally:
        server.stop()


def test_too_many_requests_are_tried_again() -> None:
    server = Server("memory:", PROTOCOLS | AUTH | {"HEDDLE_LIMITS": json.dumps({"requests_per_caller": {"per_second": 1, "burst": 1}})})
    try:
        with SnapStateClient(api_key="ann", base_url=base_url(server)) as client:
            assert client.list_agents() == []
            # Refused at first; `Retry-After` is what the client's int() reads.
            assert client.list_agents() == []
        with SnapStateClient(api_key="bob", base_url=base_url(server), max_retries=1) as client:
            with pytest.raises(SnapStateError) as refused:
                for _ in range(3):
                    client.list_agents()
            assert isinstance(refused.value, RateLimitError)
    finally:
        server.stop()


def test_a_webhook_is_signed() -> None:
    received: queue.Queue[tuple[Message, bytes]] = queue.Queue()

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            received.put((self.headers, body))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    listening = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    threading.Thread(target=listening.serve_forever, daemon=True).start()
    allowed = {"LANGGRAPH_WEBHOOKS": json.dumps({"url": {"require_https": False, "disable_loopback": False}})}
    server = Server("memory:", PROTOCOLS | allowed)
    try:
        with SnapStateClient(api_key="snp_any", base_url=base_url(server)) as client:
            url = f"http://127.0.0.1:{listening.server_port}/hook"
            made = client.register_webhook(url=url, events=["checkpoint.saved"], secret="s3cret")
            assert made["webhook_id"].startswith("wh_") and "secret" not in made
            workflow = fresh()
            client.save(workflow_id=workflow, step=1, state={})
        headers, body = received.get(timeout=20)
        assert headers["X-Checkpoint-Signature"] == f"sha256={hmac.new(b's3cret', body, hashlib.sha256).hexdigest()}"
        assert json.loads(body)["data"] == {"workflow_id": workflow, "checkpoint_id": f"cp_{workflow}_001", "step": 1}
    finally:
        server.stop()
        listening.shutdown()


def test_a_killed_server_loses_nothing(tmp_path) -> None:
    storage, workflow = storage_uri("sqlite", tmp_path), fresh()
    server = Server(storage, PROTOCOLS)
    saved: list[int] = []

    def save_until_it_dies() -> None:
        with SnapStateClient(api_key="snp_any", base_url=base_url(server)) as client:
            for step in range(100_000):
                try:
                    client.save(workflow_id=workflow, step=step, state={"step": step, "text": "x" * 200})
                except httpx.HTTPError:
                    return
                saved.append(step)
                if step == 50:
                    enough.set()

    enough = threading.Event()
    saver = threading.Thread(target=save_until_it_dies)
    saver.start()
    assert enough.wait(30)
    server.kill()
    saver.join(30)
    server.start()
    try:
        with SnapStateClient(api_key="snp_any", base_url=base_url(server)) as client:
            kept = [checkpoint.step for checkpoint in client.replay(workflow, limit=1000).checkpoints]
            # What was answered is there, in its order; one more may have been stored as the process died.
            assert kept[: len(saved)] == saved[:1000] and len(kept) <= len(saved) + 1
            last = client.resume(workflow).latest_checkpoint
            assert last.state["step"] == kept[-1]
            client.save(workflow_id=workflow, step=kept[-1] + 1, state={"step": "after"})
        found = httpx.post(f"{server.url}/threads/search", json={"metadata": {"snapstate": {"workflow_id": workflow}}})
        (thread,) = found.json()
        assert thread["values"] == {"step": "after"}
        history = httpx.get(f"{server.url}/threads/{thread['thread_id']}/history", params={"limit": 1000}).json()
        assert [state["metadata"]["snapstate"]["step"] for state in reversed(history)] == [*kept, kept[-1] + 1]
    finally:
        server.stop()
