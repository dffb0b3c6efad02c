"""docs/wire/langgraph-api.md part 3: what a stream says, and how it is joined."""

import asyncio
import time

import httpx
import pytest
from langgraph_sdk import get_client

from conftest import events, say

SLOW = {"steps": 3, "step_ms": 30}


def test_order_of_a_stream(client, thread_id):
    seen = events(client.runs.stream(thread_id, "slow", input=SLOW, stream_mode=["values", "updates", "custom"]))
    assert seen[0][0] == "metadata" and seen[0][1]["attempt"] == 1
    assert [data for event, data in seen if event == "custom"] == [{"done": n, "of": 3} for n in (1, 2, 3)]
    assert [data for event, data in seen if event == "updates"][-1] == {"work": {"done": 3}}
    assert [data for event, data in seen if event == "values"][-1]["done"] == 3
    assert {event for event, _ in seen} - {"end"} == {"metadata", "values", "updates", "custom"}


def test_tokens(client, thread_id):
    seen = events(client.runs.stream(thread_id, "agent", input=say("weather in Oslo?"), stream_mode="messages-tuple"))
    messages = [data for event, data in seen if event == "messages"]
    calls = [chunk for message, _ in messages for chunk in message.get("tool_call_chunks") or []]
    assert calls[0]["name"] == "get_weather" and "".join(c["args"] for c in calls) == '{"city":"Oslo"}'
    answer = [m["content"] for m, meta in messages if meta["langgraph_node"] == "model_request" and m["content"]]
    assert len(answer) > 5 and "".join(answer).startswith("Here is what I found.")
    assert any(m.get("usage_metadata") for m, _ in messages)


def test_accumulating_messages(client, thread_id):
    seen = events(client.runs.stream(thread_id, "agent", input=say("hi"), stream_mode="messages"))
    names = [event for event, _ in seen]
    assert {"messages/metadata", "messages/partial", "messages/complete"} <= set(names)
    partial = [data[0]["content"] for event, data in seen if event == "messages/partial"]
    assert all(after.startswith(before) for before, after in zip(partial, partial[1:]))


def test_subgraph_namespaces(client, thread_id):
    stream = client.runs.stream(thread_id, "research", input=say("Bees"), stream_mode="updates", stream_subgraphs=True)
    names = [event for event, _ in events(stream)]
    assert sum(name.startswith("updates|investigate:") for name in names) == 2
    stream = client.runs.stream(thread_id, "research", input=say("Bees"), stream_mode="updates")
    assert not any("|" in event for event, _ in events(stream))


@pytest.mark.parametrize("mode", ["tasks", "checkpoints", "debug", "events"])
def test_other_modes(client, thread_id, mode):
    seen = events(client.runs.stream(thread_id, "slow", input=SLOW, stream_mode=mode))
    assert any(event == mode for event, _ in seen)
    assert not any(event == "values" for event, _ in seen)


def test_error_is_the_last_event(client, thread_id):
    seen = []
    for part in client.runs.stream(thread_id, "failing", input={"how": "throw"}, stream_mode="updates"):
        seen.append((part.event, part.data))
    [failure] = [data for event, data in seen if event == "error"]
    assert failure["error"] == "TypeError" and "as it was asked to" in failure["message"]


def test_join_from_the_start_repeats_everything(client, thread_id):
    run = client.runs.create(thread_id, "slow", input=SLOW, stream_mode=["updates", "custom"], stream_resumable=True)
    join = lambda **options: list(client.runs.join_stream(thread_id, run["run_id"], **options))
    whole = join(last_event_id="-1")
    assert whole[0].event == "metadata" and sum(part.event == "custom" for part in whole) == 3
    assert join(last_event_id="-1") == whole
    assert join(last_event_id=whole[1].id) == whole[2:]
    narrowed = join(last_event_id="-1", stream_mode="custom")
    assert [part for part in narrowed if part.event == "custom"] == [p for p in whole if p.event == "custom"]
    assert not any(part.event == "updates" for part in narrowed)


def test_joiners_do_not_steal_from_each_other(server, client, thread_id):
    run = client.runs.create(thread_id, "slow", input={"steps": 5, "step_ms": 40}, stream_mode="custom")

    async def joined() -> list:
        async with get_client(url=server.url) as other:
            return [part.data async for part in other.runs.join_stream(thread_id, run["run_id"], last_event_id="-1")]

    async def both() -> list:
        return await asyncio.gather(*(joined() for _ in range(5)))

    first, *others = asyncio.run(both())
    assert [data["done"] for data in first if data and "done" in data] == [1, 2, 3, 4, 5]
    assert all(other == first for other in others)


def test_leaving_cancels_when_asked(client, thread_id):
    stream = client.runs.stream(thread_id, "slow", input={"steps": 100, "step_ms": 100}, on_disconnect="cancel")
    run_id = next(stream).data["run_id"]
    stream.close()
    wait_for_status(client, thread_id, run_id, "interrupted")


def test_leaving_changes_nothing_by_default(client, thread_id):
    stream = client.runs.stream(thread_id, "slow", input={"steps": 5, "step_ms": 50})
    run_id = next(stream).data["run_id"]
    stream.close()
    assert client.runs.join(thread_id, run_id)["done"] == 5


def test_leaving_a_join_cancels_when_asked(client, thread_id):
    run_id = client.runs.create(thread_id, "slow", input={"steps": 100, "step_ms": 100})["run_id"]
    stream = client.runs.join_stream(thread_id, run_id, cancel_on_disconnect=True, last_event_id="-1")
    next(stream)
    stream.close()
    wait_for_status(client, thread_id, run_id, "interrupted")


def test_last_event_id_in_the_query(server, client, thread_id):
    run_id = client.runs.create(thread_id, "slow", input=SLOW, stream_mode="custom")["run_id"]
    whole = list(client.runs.join_stream(thread_id, run_id, last_event_id="-1"))
    url = f"{server.url}/threads/{thread_id}/runs/{run_id}/stream"
    body = httpx.get(url, params={"last_event_id": whole[1].id}).text
    assert body.count("event: custom\n") == 2


def test_headers_of_a_stream(server, thread_id):
    url = f"{server.url}/threads/{thread_id}/runs/stream"
    with httpx.stream("POST", url, json={"assistant_id": "slow", "input": SLOW}) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        location = answer.headers["content-location"]
        assert location.startswith(f"/threads/{thread_id}/runs/")
        assert answer.headers["location"] == f"{location}/stream?last_event_id=-1"
        # Whoever waits for the first event gets a comment first.
        body = answer.read().decode().replace(": heartbeat\n\n", "")
    assert body.startswith("event: metadata\n")


def wait_for_status(client, thread_id: str, run_id: str, status: str, seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while (now := client.runs.get(thread_id, run_id)["status"]) != status:
        assert time.monotonic() < deadline, f"the run is {now}, not {status}"
        time.sleep(0.02)
