"""docs/wire/langgraph-api.md §2.9.6, §2.9.8: stopping for a human and going on."""

import pytest

from conftest import events, say


@pytest.fixture
def waiting(client, thread_id) -> str:
    result = client.runs.wait(thread_id, "approval", input=say("refund"))
    assert result["__interrupt__"][0]["value"]["question"] == "May I send this?"
    return thread_id


def test_the_thread_shows_what_is_asked(client, waiting):
    thread = client.threads.get(waiting)
    assert thread["status"] == "interrupted"
    [[asked]] = [value for value in thread["interrupts"].values() if value]
    assert "refund" in asked["value"]["draft"]
    state = client.threads.get_state(waiting)
    assert state["next"] == ["review"] and state["tasks"][0]["interrupts"] == [asked]
    assert client.runs.list(waiting)[0]["status"] == "success"


def test_approve(client, waiting):
    result = client.runs.wait(waiting, "approval", command={"resume": {"type": "approve"}})
    assert len(result["sent"]) == 1
    thread = client.threads.get(waiting)
    assert thread["status"] == "idle" and not any(thread["interrupts"].values())


def test_edit(client, waiting):
    result = client.runs.wait(waiting, "approval", command={"resume": {"type": "edit", "text": "Dear Ada"}})
    assert result["sent"] == ["Dear Ada"]


def test_reject(client, waiting):
    result = client.runs.wait(waiting, "approval", command={"resume": {"type": "reject", "reason": "too short"}})
    assert result["sent"] == [] and "too short" in result["messages"][-1]["content"]


def test_resume_by_interrupt_id(client, waiting):
    [task] = client.threads.get_state(waiting)["tasks"]
    resume = {task["interrupts"][0]["id"]: {"type": "approve"}}
    assert len(client.runs.wait(waiting, "approval", command={"resume": resume})["sent"]) == 1


def test_update_and_goto(client, waiting):
    command = {"update": {"draft": "Overruled"}, "goto": "send"}
    assert "Overruled" in client.runs.wait(waiting, "approval", command=command)["sent"]


@pytest.mark.parametrize("option, next_node", [("interrupt_before", "write"), ("interrupt_after", "review")])
def test_static_breakpoints(client, thread_id, option, next_node):
    stream = client.runs.stream(thread_id, "approval", input=say("x"), stream_mode="updates", **{option: ["write"]})
    assert events(stream)[-1][0] in ("updates", "end")
    state = client.threads.get_state(thread_id)
    assert state["next"] == [next_node] and client.threads.get(thread_id)["status"] == "interrupted"


def test_break_everywhere(client, thread_id):
    client.runs.wait(thread_id, "slow", input={"steps": 1, "step_ms": 1}, interrupt_before="*")
    assert client.threads.get_state(thread_id)["next"] == ["begin"]
    client.runs.wait(thread_id, "slow", input=None, interrupt_before="*")
    assert client.threads.get_state(thread_id)["next"] == ["work"]
    assert client.runs.wait(thread_id, "slow", input=None)["done"] == 1
