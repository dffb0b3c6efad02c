"""Agentex's published client (agentex-client) against Heddle: its states, tasks and checkpoints, sync and async; and a Python graph that
keeps its checkpoints in Heddle through the checkpointer of agentex-sdk."""

import asyncio
import json
import os
import subprocess
import threading
import uuid
from collections.abc import Iterator
from datetime import datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import agentex
import httpx
import pytest
from agentex import Agentex, AsyncAgentex
from agentex.types import State

from conftest import ROOT, STORAGES, Server, storage_uri

PROTOCOLS = {"HEDDLE_PROTOCOLS": json.dumps(["agentex-states"])}
UNKNOWN = "00000000-0000-4000-8000-000000000000"
AUTH = {"LANGGRAPH_AUTH": json.dumps({"path": "./test/python/owners_auth.ts:auth"})}


@pytest.fixture(scope="module", params=STORAGES)
def mounted(request, tmp_path_factory) -> Iterator[Server]:
    server = Server(storage_uri(request.param, tmp_path_factory.mktemp("storage")), PROTOCOLS)
    yield server
    assert server.stop() == 0, "".join(server.lines[-50:])


@pytest.fixture(scope="module")
def guarded() -> Iterator[Server]:
    server = Server("memory:", PROTOCOLS | AUTH)
    yield server
    server.stop()


def base_url(server: Server) -> str:
    return f"{server.url}/agentex"


@pytest.fixture
def client(mounted: Server) -> Iterator[Agentex]:
    # Strict: an answer that does not fit the client's models is an error.
    with Agentex(base_url=base_url(mounted), _strict_response_validation=True) as opened:
        yield opened


class Counted(httpx.BaseTransport):
    """Counts what is sent, retries included."""

    def __init__(self) -> None:
        self.inner = httpx.HTTPTransport()
        self.requests: list[httpx.Request] = []

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        return self.inner.handle_request(request)


def test_the_readmes_example(mounted: Server, client: Agentex) -> None:
    made = httpx.post(f"{mounted.url}/threads", json={"metadata": {"name": uuid.uuid4().hex}}).json()
    tasks = client.tasks.list(limit=1000)
    assert made["thread_id"] in [task.id for task in tasks]


def test_34_states_from_end_to_end(client: Agentex) -> None:
    task_id, nested = f"task-{uuid.uuid4()}", {"a": [1, 2.5, None, {"ü": "\U0001f600"}], "float": 1.0, "big": 2**70}
    created = client.states.create(task_id=task_id, agent_id="agent-1", state=nested)
    assert isinstance(created, State) and isinstance(created.created_at, datetime)
    assert created.created_at.utcoffset() == timedelta(0) and created.updated_at == created.created_at
    assert (created.task_id, created.agent_id, created.state) == (task_id, "agent-1", nested)
    assert type(created.state["float"]) is float
    assert client.states.retrieve(created.id) == created
    updated = client.states.update(created.id, state={"n": 2})
    assert updated.state == {"n": 2} and updated.id == created.id and updated.created_at == created.created_at
    assert client.states.list(task_id=task_id) == [updated]
    assert client.states.delete(created.id) == updated
    assert client.states.list(task_id=task_id) == []


def test_34_an_unknown_state_is_asked_for_once(mounted: Server) -> None:
    transport = Counted()
    with Agentex(base_url=base_url(mounted), http_client=httpx.Client(transport=transport)) as client:
        assert client.max_retries == 2
        for call in (
            lambda: client.states.retrieve(UNKNOWN),
            lambda: client.states.update(UNKNOWN, state={}),
            lambda: client.states.delete(UNKNOWN),
        ):
            transport.requests.clear()
            with pytest.raises(agentex.NotFoundError) as caught:
                call()
            assert len(transport.requests) == 1
            assert caught.value.body == {
                "message": f"Item with id '{UNKNOWN}' does not exist.",
                "code": 404,
                "data": None,
            }
        with pytest.raises(agentex.UnprocessableEntityError) as invalid:
            client.states.create(task_id="t", agent_id="a", state=[])  # type: ignore[arg-type]
        assert invalid.value.body["status_code"] == 10422


def test_34_states_of_the_async_client(mounted: Server) -> None:
    async def use() -> None:
        async with AsyncAgentex(base_url=base_url(mounted), _strict_response_validation=True) as client:
            task_id = f"task-{uuid.uuid4()}"
            made = await asyncio.gather(
                *(client.states.create(task_id=task_id, agent_id="a", state={"n": n}) for n in range(5))
            )
            found = await client.states.list(task_id=task_id, agent_id="a")
            assert sorted(s.id for s in found) == sorted(s.id for s in made)
            assert await client.states.retrieve(made[0].id) == made[0]
            assert (await client.states.update(made[0].id, state={})).state == {}
            assert (await client.states.delete(made[0].id)).id == made[0].id
            with pytest.raises(agentex.NotFoundError):
                await client.states.retrieve(made[0].id)

    asyncio.run(use())


def test_lists_are_paged_and_ordered(client: Agentex) -> None:
    task_id = f"task-{uuid.uuid4()}"
    for n in range(60):
        client.states.create(task_id=task_id, agent_id=f"agent-{n % 2}", state={"n": n})
    pages = [client.states.list(task_id=task_id, page_number=page) for page in (1, 2, 3)]
    assert [len(page) for page in pages] == [50, 10, 0]
    assert [s.state["n"] for page in pages for s in page] == list(range(60))
    newest = client.states.list(task_id=task_id, order_by="id", order_direction="desc", limit=3)
    assert [s.state["n"] for s in newest] == [59, 58, 57]
    assert len(client.states.list(task_id=task_id, agent_id="agent-1")) == 30
    raw = client.states.with_raw_response.list(task_id=task_id, limit=1)
    assert raw.http_response.status_code == 200 and isinstance(raw.http_response.json(), list)
    with client.states.with_streaming_response.list(task_id=task_id, limit=1) as streamed:
        assert json.loads(streamed.read())[0]["state"] == {"n": 0}


def test_35_what_a_retry_cannot_cure_is_not_retried() -> None:
    """A 500 of Heddle's own: a handler of the deployer's that fails."""
    broken = {"LANGGRAPH_AUTH": json.dumps({"path": "./test/python/failing_auth.ts:auth"})}
    server = Server("memory:", PROTOCOLS | broken)
    try:
        transport = Counted()
        http_client = httpx.Client(transport=transport)
        with Agentex(base_url=base_url(server), api_key="k", http_client=http_client) as client:
            with pytest.raises(agentex.InternalServerError) as caught:
                client.states.list()
        assert len(transport.requests) == 1
        assert caught.value.response.headers["x-should-retry"] == "false"
        assert transport.requests[0].headers["authorization"] == "Bearer k"
    finally:
        server.kill()


def test_35_the_same_error_without_the_header_is_retried() -> None:
    """That the count above can fail: the client does retry a bare 500."""
    seen = []

    class Bare(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            seen.append(self.path)
            self.send_response(500)
            self.send_header("retry-after-ms", "1")
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Bare) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with Agentex(base_url=f"http://127.0.0.1:{server.server_port}") as client:
            with pytest.raises(agentex.InternalServerError):
                client.states.list()
        server.shutdown()
    assert len(seen) == 3


def test_31_and_32_keys_and_tenants(guarded: Server) -> None:
    def of(name: str | None) -> Agentex:
        return Agentex(base_url=base_url(guarded), api_key=name, max_retries=0)

    for nobody in (None, "not a name"):
        with pytest.raises(agentex.AuthenticationError):
            of(nobody).states.list()
    ann, bob = of("ann"), of("bob")
    mine = ann.states.create(task_id="t", agent_id="a", state={"secret": 1})
    with pytest.raises(agentex.NotFoundError):
        bob.states.retrieve(mine.id)
    with pytest.raises(agentex.NotFoundError):
        bob.states.update(mine.id, state={})
    with pytest.raises(agentex.NotFoundError):
        bob.states.delete(mine.id)
    assert bob.states.list() == [] and ann.states.retrieve(mine.id) == mine
    headers = {"authorization": "Bearer ann"}
    thread = httpx.post(f"{guarded.url}/threads", json={}, headers=headers).json()["thread_id"]
    with pytest.raises(agentex.NotFoundError):
        bob.states.create(task_id=thread, agent_id="a", state={})
    with pytest.raises(agentex.NotFoundError):
        bob.checkpoints.put(thread_id=thread, checkpoint_id="1f0", checkpoint={})
    assert bob.checkpoints.list(thread_id=thread) == []
    assert ann.states.create(task_id=thread, agent_id="a", state={}).task_id == thread
    with pytest.raises(agentex.NotFoundError):
        bob.tasks.retrieve(thread)


def test_tasks_are_threads(mounted: Server, client: Agentex) -> None:
    name = f"task {uuid.uuid4().hex}/ü"
    with httpx.Client(base_url=mounted.url, timeout=60) as raw:
        threads = [raw.post("/threads", json={"metadata": {"name": name, "n": n}}).json()["thread_id"] for n in (0, 1)]
        raw.post(f"/threads/{threads[0]}/runs/wait", json={"assistant_id": "failing", "input": {}})
    task = client.tasks.retrieve(threads[1], relationships=["agents"])
    assert (task.id, task.name, task.status, task.agents) == (threads[1], name, "COMPLETED", [])
    assert client.tasks.retrieve_by_name(name).id == threads[0]
    ran = client.tasks.list(task_metadata=json.dumps({"name": name}), relationships=["agents"])
    assert [found.id for found in ran] == threads
    assert [agent.registration_metadata for agent in ran[0].agents or []] == [{"graph_id": "failing"}]
    assert client.tasks.list(task_metadata=json.dumps({"name": name}), status="TERMINATED") == []
    assert len(client.tasks.list(agent_name="failing", task_metadata=json.dumps({"name": name}))) == 1
    newest = client.tasks.list(task_metadata=json.dumps({"name": name}), order_by="created_at", limit=1)
    assert [found.id for found in newest] == [threads[1]]
    state = client.states.create(task_id=threads[1], agent_id="a", state={"n": 1})
    assert client.tasks.delete(threads[1]).id == threads[1]
    for gone in (lambda: client.tasks.retrieve(threads[1]), lambda: client.states.retrieve(state.id)):
        with pytest.raises(agentex.NotFoundError):
            gone()
    assert client.tasks.delete_by_name(name).id == threads[0]
    with pytest.raises(agentex.NotFoundError):
        client.tasks.retrieve_by_name(name)


def test_checkpoints_of_the_published_client(client: Agentex, mounted: Server) -> None:
    thread_id, first = str(uuid.uuid4()), "1f0a0000-0000-6000-8000-000000000001"
    assert client.checkpoints.with_raw_response.get_tuple(thread_id=thread_id).http_response.content == b"null"
    blob = {"channel": "messages", "version": "1.5", "type": "msgpack", "blob": "xwWTAA=="}
    put = client.checkpoints.put(
        thread_id=thread_id,
        checkpoint_id=first,
        checkpoint={"v": 4, "channel_values": {"n": 1.0}, "channel_versions": {"messages": "1.5"}},
        metadata={"step": 1},
        blobs=[blob],
    )
    assert (put.thread_id, put.checkpoint_ns, put.checkpoint_id) == (thread_id, "", first)
    write = {"task_id": "t1", "idx": 0, "channel": "messages", "type": "msgpack", "blob": "xwWTAA=="}
    assert client.checkpoints.put_writes(thread_id=thread_id, checkpoint_id=first, writes=[write]) is None
    found = client.checkpoints.get_tuple(thread_id=thread_id)
    assert found is not None and found.parent_checkpoint_id is None
    assert [b.model_dump() for b in found.blobs or []] == [blob]
    assert [(w.task_id, w.idx, w.blob) for w in found.pending_writes or []] == [("t1", 0, "xwWTAA==")]
    assert [c.checkpoint_id for c in client.checkpoints.list(thread_id=thread_id, filter_metadata={"step": 1})] == [first]
    assert client.checkpoints.list(thread_id=thread_id, before_checkpoint_id=first) == []

    async def delete() -> None:
        async with AsyncAgentex(base_url=base_url(mounted)) as opened:
            assert (await opened.checkpoints.get_tuple(thread_id=thread_id)).checkpoint_id == first
            assert await opened.checkpoints.delete_thread(thread_id=thread_id) is None
            assert await opened.checkpoints.list(thread_id=thread_id) == []

    asyncio.run(delete())


def run_graph(server: Server, thread_id: str, action: str, *more: str) -> dict:
    """A process of its own: nothing of the graph lives on but what is in Heddle."""
    packages = ROOT / ".venv/langgraph"
    assert packages.is_dir(), "run scripts/test-python.sh, which installs langgraph there"
    done = subprocess.run(
        [ROOT / ".venv/bin/python", ROOT / "test/python/checkpointed_graph.py", base_url(server), thread_id, action, *more],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(packages)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def check_graph(server: Server, between=lambda: None, *more: str) -> str:
    thread_id = str(uuid.uuid4())
    started = run_graph(server, thread_id, "start", *more)
    assert started["interrupts"] == [{"question": "go on?", "weight": 1.0}] and started["next"] == ["plan"]
    between()
    resumed = run_graph(server, thread_id, "resume", *more)
    assert resumed["values"]["plan"] == ["trip", ["go", "pack"], 2.0]
    assert resumed["values"]["big"] == 2**62 + 1
    assert resumed["types"]["plan"] == "Plan" and resumed["types"]["score"] == "float"
    assert sorted(resumed["values"]["done"]) == ["go", "pack"]
    # An interrupt inside a subgraph, which keeps checkpoints in a namespace of its own.
    assert resumed["interrupts"] == ["sure?"] and resumed["next"] == ["child"]
    between()
    ended = run_graph(server, thread_id, "finish", *more)
    assert ended["next"] == [] and ended["interrupts"] == []
    assert ended["values"]["messages"] == ["hello", "planned: yes", "checked: yes"]
    assert ended["steps"] == sorted(ended["steps"], reverse=True) and ended["steps"][-1] == -1
    assert ended["loops"] == ended["steps"][:2]
    assert ended["namespaces"] == ["", "child"]
    return thread_id


def test_a_python_graph_is_resumed_from_heddle(mounted: Server) -> None:
    thread_id = check_graph(mounted)
    deleted = run_graph(mounted, thread_id, "delete")
    assert deleted["values"] == {"messages": []} and deleted["next"] == []


def test_a_python_graph_survives_a_killed_server(tmp_path) -> None:
    server = Server(f"sqlite:{tmp_path / 'heddle.db'}", PROTOCOLS)

    def restart() -> None:
        server.kill()
        server.start()

    try:
        with Agentex(base_url=base_url(server)) as client:
            state = client.states.create(task_id="t", agent_id="a", state={"n": 1})
        check_graph(server, restart)
        with Agentex(base_url=base_url(server)) as client:
            assert client.states.retrieve(state.id) == state
    finally:
        server.kill()


def test_a_python_graph_of_one_user_is_not_anothers(guarded: Server) -> None:
    thread_id = check_graph(guarded, lambda: None, "ann")
    assert run_graph(guarded, thread_id, "state", "bob")["values"] == {"messages": []}
    assert run_graph(guarded, thread_id, "state", "ann")["values"]["big"] == 2**62 + 1
