"""docs/wire/langgraph-api.md §2.4.8–2.4.11: state, history, time travel."""

import httpx
import pytest
from langgraph_sdk.errors import ConflictError, NotFoundError

from conftest import say


def test_state_of_a_new_thread_is_empty(client, thread_id):
    state = client.threads.get_state(thread_id)
    assert (state["values"], state["next"], state["tasks"]) == ({}, [], [])
    assert client.threads.get_history(thread_id) == []


def test_state_and_history_after_a_run(client, thread_id):
    client.runs.wait(thread_id, "slow", input={"steps": 2, "step_ms": 1}, metadata={"mark": "first"})
    state = client.threads.get_state(thread_id)
    assert state["values"]["done"] == 2 and state["next"] == []
    assert state["checkpoint"]["thread_id"] == thread_id
    history = client.threads.get_history(thread_id, limit=100)
    assert [s["metadata"]["step"] for s in history] == list(range(len(history) - 2, -2, -1))
    assert history[0]["checkpoint"] == state["checkpoint"]
    assert [s["parent_checkpoint"] for s in history[:-1]] == [s["checkpoint"] for s in history[1:]]
    assert history[-1]["parent_checkpoint"] is None


def test_history_filters(client, thread_id):
    for mark in ("first", "second"):
        client.runs.wait(thread_id, "slow", input={"steps": 1, "step_ms": 1}, metadata={"mark": mark})
    history = client.threads.get_history(thread_id, limit=100)
    first = client.threads.get_history(thread_id, limit=100, metadata={"mark": "first"})
    assert first == [s for s in history if s["metadata"].get("mark") == "first"] and 0 < len(first) < len(history)
    assert client.threads.get_history(thread_id, limit=2) == history[:2]
    assert client.threads.get_history(thread_id, limit=100, before=history[1]["checkpoint"]) == history[2:]
    by_id = history[1]["checkpoint"]["checkpoint_id"]
    assert client.threads.get_history(thread_id, limit=100, before=by_id) == history[2:]


def test_state_at_a_checkpoint(client, thread_id):
    client.runs.wait(thread_id, "slow", input={"steps": 3, "step_ms": 1})
    older = client.threads.get_history(thread_id, limit=100)[1]
    assert client.threads.get_state(thread_id, checkpoint=older["checkpoint"])["values"] == older["values"]
    assert client.threads.get_state(thread_id, checkpoint_id=older["checkpoint"]["checkpoint_id"])["next"] == ["work"]


def test_update_state_and_continue(client, thread_id):
    client.runs.wait(thread_id, "slow", input={"steps": 3, "step_ms": 1}, interrupt_after=["work"])
    assert client.threads.get(thread_id)["status"] == "interrupted"
    updated = client.threads.update_state(thread_id, {"done": 2}, as_node="work")
    assert updated["checkpoint"]["thread_id"] == thread_id
    assert client.threads.get(thread_id)["values"]["done"] == 2
    assert client.runs.wait(thread_id, "slow", input=None)["done"] == 3


def test_fork_from_an_older_checkpoint(client, thread_id):
    client.runs.wait(thread_id, "slow", input={"steps": 3, "step_ms": 1})
    older = next(s for s in client.threads.get_history(thread_id, limit=100) if s["values"].get("done") == 1)
    fork = client.threads.update_state(thread_id, {"steps": 2}, as_node="work", checkpoint=older["checkpoint"])
    result = client.runs.wait(thread_id, "slow", input=None, checkpoint_id=fork["checkpoint"]["checkpoint_id"])
    assert (result["done"], result["steps"]) == (2, 2)


def test_replay_from_a_checkpoint(client, thread_id):
    client.runs.wait(thread_id, "slow", input={"steps": 3, "step_ms": 1})
    older = next(s for s in client.threads.get_history(thread_id, limit=100) if s["values"].get("done") == 1)
    assert client.runs.wait(thread_id, "slow", input=None, checkpoint=older["checkpoint"])["done"] == 3


def test_subgraph_state(client, thread_id):
    client.runs.wait(thread_id, "research", input=say("Bees"), interrupt_before=["report"])
    history = client.threads.get_history(thread_id, limit=100)
    at_subgraph = next(s for s in history if s["next"] == ["investigate"])
    flat = client.threads.get_state(thread_id, checkpoint=at_subgraph["checkpoint"])
    [task] = flat["tasks"]
    assert task["name"] == "investigate" and task["state"] is None
    inner = client.threads.get_history(thread_id, checkpoint=task["checkpoint"], limit=100)
    assert inner[0]["values"]["sources"]


def test_busy_thread_refuses_state_updates(client, thread_id):
    run = client.runs.create(thread_id, "slow", input={"steps": 100, "step_ms": 100})
    with pytest.raises(ConflictError):
        client.threads.update_state(thread_id, {"done": 9}, as_node="work")
    client.runs.cancel(thread_id, run["run_id"], wait=True)


def test_missing_thread(client):
    with pytest.raises(NotFoundError):
        client.threads.get_state("00000000-0000-4000-8000-000000000000")


def test_history_by_get(server, client, thread_id):
    client.runs.wait(thread_id, "slow", input={"steps": 2, "step_ms": 1})
    history = client.threads.get_history(thread_id, limit=100)
    url = f"{server.url}/threads/{thread_id}/history"
    assert httpx.get(url).json() == history
    by_id = history[0]["checkpoint"]["checkpoint_id"]
    assert httpx.get(url, params={"limit": 2, "before": by_id}).json() == history[1:3]


def test_update_at_a_checkpoint_id(client, thread_id):
    client.runs.wait(thread_id, "slow", input={"steps": 3, "step_ms": 1})
    older = next(s for s in client.threads.get_history(thread_id, limit=100) if s["values"].get("done") == 1)
    id = older["checkpoint"]["checkpoint_id"]
    fork = client.threads.update_state(thread_id, {"done": 2}, as_node="work", checkpoint_id=id)
    made = client.threads.get_state(thread_id, checkpoint=fork["checkpoint"])
    assert made["values"]["done"] == 2 and made["parent_checkpoint"]["checkpoint_id"] == id


def test_select(server, client, thread_id):
    client.runs.wait(thread_id, "slow", input={"steps": 1, "step_ms": 1})
    url = f"{server.url}/threads/{thread_id}"
    select = ["next", "values.done"]
    wanted = {"next": [], "values": {"done": 1}}
    assert httpx.get(f"{url}/state", params={"select": select}).json() == wanted
    id = client.threads.get_state(thread_id)["checkpoint"]["checkpoint_id"]
    assert httpx.get(f"{url}/state/{id}", params={"select": select}).json() == wanted
    body = {"checkpoint": {"checkpoint_id": id}, "select": select}
    assert httpx.post(f"{url}/state/checkpoint", json=body).json() == wanted
    assert httpx.post(f"{url}/history", json={"limit": 1, "select": select}).json() == [wanted]
