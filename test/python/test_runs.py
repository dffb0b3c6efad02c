"""docs/wire/langgraph-api.md §2.5, §2.6, §2.9: runs on a thread, without their streams."""

import asyncio
import time
import uuid

import pytest
from langgraph_sdk import get_client
from langgraph_sdk.errors import NotFoundError, UnprocessableEntityError

from conftest import say

LONG = {"steps": 100, "step_ms": 100}
SHORT = {"steps": 1, "step_ms": 1}


def test_create_get_join_list(client, thread_id):
    seen = {}
    run = client.runs.create(
        thread_id, "slow", input=SHORT, metadata={"camelKey": 1}, on_run_created=lambda meta: seen.update(meta)
    )
    assert (seen["run_id"], seen["thread_id"]) == (run["run_id"], thread_id)
    # A free worker may have it already.
    assert run["status"] in ("pending", "running")
    assert (run["metadata"]["camelKey"], run["multitask_strategy"]) == (1, "enqueue")
    assert client.runs.join(thread_id, run["run_id"])["done"] == 1
    assert client.runs.get(thread_id, run["run_id"])["status"] == "success"
    second = client.runs.create(thread_id, "slow", input=SHORT)
    client.runs.join(thread_id, second["run_id"])
    listed = [r["run_id"] for r in client.runs.list(thread_id)]
    assert listed == [second["run_id"], run["run_id"]]
    assert [r["run_id"] for r in client.runs.list(thread_id, limit=1, offset=1)] == [run["run_id"]]
    assert client.runs.list(thread_id, status="error") == []
    assert set(client.runs.list(thread_id, select=["run_id", "status"])[0]) == {"run_id", "status"}


def test_wait_returns_the_last_values(client, thread_id):
    result = client.runs.wait(thread_id, "agent", input=say("What is 6 times 7?"))
    assert [m["type"] for m in result["messages"]] == ["human", "ai", "tool", "ai"]
    assert "42" in result["messages"][-1]["content"]


def test_failures_are_data(client, thread_id):
    result = client.runs.wait(thread_id, "failing", input={"how": "throw"})
    assert result["__error__"]["error"] == "TypeError"
    assert client.threads.get(thread_id)["status"] == "error"
    assert [r["status"] for r in client.runs.list(thread_id)] == ["error"]
    result = client.runs.wait(thread_id, "failing", input={"how": "loop"}, config={"recursion_limit": 5})
    assert result["__error__"]["error"] == "GraphRecursionError" and "5" in result["__error__"]["message"]


def test_the_async_client_raises_what_the_graph_threw(server, thread_id):
    async def wait() -> None:
        async with get_client(url=server.url) as other:
            await other.runs.wait(thread_id, "failing", input={"how": "throw"})

    with pytest.raises(Exception, match="TypeError: The sample graph failed"):
        asyncio.run(wait())


def test_run_errors(client, thread_id):
    with pytest.raises(NotFoundError, match="assistant"):
        client.runs.create(thread_id, "no-such-graph", input={})
    with pytest.raises(NotFoundError):
        client.runs.create(str(uuid.uuid4()), "slow", input=SHORT)
    with pytest.raises(NotFoundError):
        client.runs.get(thread_id, str(uuid.uuid4()))
    with pytest.raises(UnprocessableEntityError):
        client.runs.create(thread_id, "slow", input=SHORT, durability="sometimes")


def test_if_not_exists_create(client):
    id = str(uuid.uuid4())
    assert client.runs.wait(id, "slow", input=SHORT, if_not_exists="create")["done"] == 1
    assert client.threads.get(id)["metadata"]["graph_id"] == "slow"


def test_cancel_interrupts_at_once(client, thread_id):
    run = client.runs.create(thread_id, "slow", input={"steps": 1, "step_ms": 60_000})
    started = time.monotonic()
    client.runs.cancel(thread_id, run["run_id"], wait=True)
    assert time.monotonic() - started < 5
    assert client.runs.get(thread_id, run["run_id"])["status"] == "interrupted"
    assert client.threads.get(thread_id)["status"] in ("idle", "interrupted")


def test_cancel_with_rollback_forgets_the_run(client, thread_id):
    client.runs.wait(thread_id, "slow", input=SHORT)
    before = client.threads.get_state(thread_id)["values"]
    run = client.runs.create(thread_id, "slow", input=LONG)
    time.sleep(0.25)
    client.runs.cancel(thread_id, run["run_id"], wait=True, action="rollback")
    with pytest.raises(NotFoundError):
        client.runs.get(thread_id, run["run_id"])
    assert client.threads.get_state(thread_id)["values"] == before


def test_cancel_many(client, thread_id):
    runs = [client.runs.create(thread_id, "slow", input=LONG)["run_id"] for _ in range(3)]
    client.runs.cancel_many(thread_id=thread_id, run_ids=runs)
    for run_id in runs:
        client.runs.join(thread_id, run_id)
    assert {r["status"] for r in client.runs.list(thread_id)} == {"interrupted"}
    with pytest.raises(NotFoundError):
        client.runs.cancel_many(thread_id=thread_id, run_ids=[str(uuid.uuid4())])


def test_delete(client, thread_id):
    client.runs.wait(thread_id, "slow", input=SHORT, metadata={"mark": "gone"})
    [run] = client.runs.list(thread_id)
    client.runs.delete(thread_id, run["run_id"])
    with pytest.raises(NotFoundError):
        client.runs.get(thread_id, run["run_id"])
    assert client.threads.get_history(thread_id, metadata={"mark": "gone"}) == []


def test_after_seconds_delays(client, thread_id):
    started = time.monotonic()
    run = client.runs.create(thread_id, "slow", input=SHORT, after_seconds=1)
    assert client.runs.get(thread_id, run["run_id"])["status"] == "pending"
    client.runs.join(thread_id, run["run_id"])
    assert time.monotonic() - started >= 1


@pytest.mark.parametrize("durability, least", [("sync", 3), ("async", 3), ("exit", 1)])
def test_durability_decides_how_many_checkpoints_stay(client, thread_id, durability, least):
    client.runs.wait(thread_id, "slow", input={"steps": 2, "step_ms": 1}, durability=durability)
    count = len(client.threads.get_history(thread_id, limit=100))
    assert count == least if durability == "exit" else count > least


def test_context_reaches_the_graph(client, thread_id, tag):
    client.runs.wait(thread_id, "memory", input=say("Remember that I like tea."), context={"user": tag})
    result = client.runs.wait(thread_id, "memory", input=say("What do you know?"), context={"user": tag})
    assert result["messages"][-1]["content"] == "I know: I like tea."


def test_checkpoint_during_is_durability(client, thread_id):
    client.runs.wait(thread_id, "slow", input={"steps": 2, "step_ms": 1}, checkpoint_during=False)
    assert len(client.threads.get_history(thread_id, limit=100)) == 1


def test_langsmith_tracer_reaches_the_configurable(client, thread_id):
    client.runs.wait(thread_id, "slow", input=SHORT, langsmith_tracing={"project_name": "p", "example_id": "e"})
    metadata = client.threads.get_state(thread_id)["metadata"]
    assert (metadata["langsmith_project"], metadata["langsmith_example_id"]) == ("p", "e")


def test_cancel_many_by_status(client, thread_id):
    runs = [client.runs.create(thread_id, "slow", input=LONG)["run_id"] for _ in range(2)]
    client.runs.cancel_many(status="all")
    for run_id in runs:
        client.runs.join(thread_id, run_id)
    assert {r["status"] for r in client.runs.list(thread_id)} == {"interrupted"}


def test_cancel_many_with_rollback(client, thread_id):
    run_id = client.runs.create(thread_id, "slow", input=LONG)["run_id"]
    client.runs.cancel_many(thread_id=thread_id, run_ids=[run_id], action="rollback")
    deadline = time.monotonic() + 10
    while client.runs.list(thread_id):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert client.threads.get_history(thread_id) == []
