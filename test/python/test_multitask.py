"""docs/wire/langgraph-api.md §2.9.2: two runs on one thread."""

import pytest
from langgraph_sdk.errors import ConflictError, NotFoundError

LONG = {"steps": 100, "step_ms": 50}
SHORT = {"steps": 1, "step_ms": 1}


@pytest.fixture
def busy(client, thread_id):
    run = client.runs.create(thread_id, "slow", input=LONG)
    # Wait for its first progress, so that there is work to keep or to roll back.
    for part in client.runs.join_stream(thread_id, run["run_id"]):
        if part.event == "values":
            break
    return run["run_id"]


def test_reject(client, thread_id, busy):
    with pytest.raises(ConflictError, match="already running"):
        client.runs.create(thread_id, "slow", input=SHORT, multitask_strategy="reject")
    assert client.runs.get(thread_id, busy)["status"] == "running"
    client.runs.cancel(thread_id, busy, wait=True)


def test_enqueue(client, thread_id):
    first = client.runs.create(thread_id, "slow", input={"steps": 3, "step_ms": 50})
    second = client.runs.create(thread_id, "slow", input=SHORT, multitask_strategy="enqueue")
    client.runs.join(thread_id, second["run_id"])
    assert client.runs.get(thread_id, first["run_id"])["status"] == "success"
    assert client.runs.get(thread_id, second["run_id"])["status"] == "success"


def test_interrupt(client, thread_id, busy):
    result = client.runs.wait(thread_id, "slow", input=SHORT, multitask_strategy="interrupt")
    assert result["done"] == 1
    assert client.runs.get(thread_id, busy)["status"] == "interrupted"


def test_rollback(client, thread_id, busy):
    client.runs.wait(thread_id, "slow", input=SHORT, multitask_strategy="rollback")
    with pytest.raises(NotFoundError):
        client.runs.get(thread_id, busy)
    history = client.threads.get_history(thread_id, limit=100)
    assert busy not in {state["metadata"]["run_id"] for state in history}
