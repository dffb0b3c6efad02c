"""docs/wire/langgraph-api.md §2.7: runs without a thread of one's own."""

import httpx
import pytest
from langgraph_sdk.errors import NotFoundError

from conftest import events, say

SHORT = {"steps": 1, "step_ms": 1}


def test_wait(client):
    assert client.runs.wait(None, "slow", input=SHORT)["done"] == 1


def test_interrupt_in_a_stateless_run(client):
    assert client.runs.wait(None, "approval", input=say("x"))["__interrupt__"][0]["value"]["question"]


def test_stream(client):
    seen = events(client.runs.stream(None, "agent", input=say("What is 2 plus 2?"), stream_mode="values"))
    assert "4" in [data for event, data in seen if event == "values"][-1]["messages"][-1]["content"]


def test_create_keeps_the_thread_when_asked(client):
    run = client.runs.create(None, "slow", input=SHORT, on_completion="keep")
    assert client.runs.join(run["thread_id"], run["run_id"])["done"] == 1
    assert client.threads.get(run["thread_id"])["status"] == "idle"


def test_the_hidden_thread_is_deleted(client):
    seen = {}
    client.runs.wait(None, "slow", input=SHORT, on_run_created=lambda meta: seen.update(meta))
    run = client.runs.create(None, "slow", input=SHORT, after_seconds=0)
    for _ in client.runs.join_stream(run["thread_id"], run["run_id"]):
        pass
    with pytest.raises(NotFoundError):
        client.threads.get(run["thread_id"])
    assert seen["run_id"]


def test_batch(client):
    runs = client.runs.create_batch(
        [{"assistant_id": "slow", "input": {"steps": n, "step_ms": 1}, "on_completion": "keep"} for n in (1, 2, 3)]
    )
    assert [client.runs.join(run["thread_id"], run["run_id"])["done"] for run in runs] == [1, 2, 3]


def test_join_without_the_thread(server, client):
    run = client.runs.create(None, "slow", input={"steps": 3, "step_ms": 300}, stream_mode="custom")
    url = f"{server.url}/runs/{run['run_id']}/stream"
    with httpx.stream("GET", url, headers={"last-event-id": "-1"}) as answer:
        assert answer.headers["content-location"] == f"/runs/{run['run_id']}"
        body = answer.read().decode()
    assert body.count("event: custom\n") == 3
