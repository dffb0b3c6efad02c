"""docs/wire/langgraph-api.md §2.4: threads as rows."""

import uuid

import httpx
import pytest
from langgraph_sdk.errors import ConflictError, NotFoundError, UnprocessableEntityError

from conftest import say


def test_create_get_update_delete(client, tag):
    id = str(uuid.uuid4())
    created = client.threads.create(thread_id=id, metadata={"tag": tag, "camelKey": [1, {"a": None}]})
    assert (created["thread_id"], created["status"]) == (id, "idle")
    assert client.threads.get(id)["metadata"] == {"tag": tag, "camelKey": [1, {"a": None}]}
    assert client.threads.update(id, metadata={"more": True})["metadata"]["more"] is True
    assert client.threads.get(id)["metadata"]["tag"] == tag
    assert client.threads.update(id, metadata={"x": 1}, return_minimal=True) is None
    client.threads.delete(id)
    with pytest.raises(NotFoundError):
        client.threads.get(id)
    with pytest.raises(NotFoundError):
        client.threads.delete(id)


def test_if_exists(client, thread_id):
    with pytest.raises(ConflictError):
        client.threads.create(thread_id=thread_id)
    assert client.threads.create(thread_id=thread_id, if_exists="do_nothing")["thread_id"] == thread_id


def test_ids_must_be_uuids(server):
    answer = httpx.get(f"{server.url}/threads/not-a-uuid")
    assert answer.status_code == 422 and "detail" in answer.json()


def test_search_and_count(client, tag):
    made = [client.threads.create(metadata={"tag": tag, "n": n})["thread_id"] for n in range(3)]
    client.runs.wait(made[0], "approval", input=say(tag))
    ids = lambda **query: [t["thread_id"] for t in client.threads.search(metadata={"tag": tag}, **query)]
    assert set(ids()) == set(made)
    assert ids(sort_by="created_at", sort_order="asc") == made
    assert ids(sort_by="created_at", sort_order="desc", limit=1, offset=1) == [made[1]]
    assert ids(status="interrupted") == [made[0]]
    assert set(ids(ids=made[1:])) == set(made[1:])
    assert [t["thread_id"] for t in client.threads.search(metadata={"tag": tag, "n": 2})] == [made[2]]
    assert client.threads.count(metadata={"tag": tag}) == 3
    assert client.threads.count(metadata={"tag": tag}, status="idle") == 2


def test_search_values_select_extract(client, tag):
    id = client.threads.create(metadata={"tag": tag})["thread_id"]
    client.runs.wait(id, "slow", input={"steps": 2, "step_ms": 1})
    [found] = client.threads.search(values={"done": 2}, metadata={"tag": tag}, select=["thread_id", "values"])
    assert found == {"thread_id": id, "values": {"steps": 2, "step_ms": 1, "done": 2}}
    [extracted] = client.threads.search(metadata={"tag": tag}, select=["thread_id"], extract={"d": "values.done"})
    assert extracted["extracted"] == {"d": 2}
    with pytest.raises(UnprocessableEntityError):
        client.threads.search(extract={"x": "no_such_root.a"})


def test_copy(client, thread_id):
    client.runs.wait(thread_id, "slow", input={"steps": 1, "step_ms": 1})
    copy = client.threads.copy(thread_id)["thread_id"]
    assert copy != thread_id
    assert client.threads.get_state(copy)["values"] == client.threads.get_state(thread_id)["values"]
    assert len(client.threads.get_history(copy)) == len(client.threads.get_history(thread_id))
    client.runs.wait(copy, "slow", input={"steps": 2, "step_ms": 1})
    assert client.threads.get_state(thread_id)["values"]["done"] == 1
    with pytest.raises(ConflictError):
        client.threads.copy(str(uuid.uuid4()))


def test_supersteps(client):
    updates = [
        {"updates": [{"values": say("hello"), "as_node": "__input__"}]},
        {"updates": [{"values": {"draft": "made earlier"}, "as_node": "write"}]},
    ]
    id = client.threads.create(graph_id="approval", supersteps=updates)["thread_id"]
    state = client.threads.get_state(id)
    assert state["values"]["draft"] == "made earlier" and state["next"] == ["review"]
    assert len(client.threads.get_history(id)) == 2


def test_a_time_to_live(client):
    id = client.threads.create(ttl=60)["thread_id"]
    assert "ttl" not in client.threads.get(id)
    ttl = client.threads.get(id, include=["ttl"])["ttl"]
    assert (ttl["strategy"], ttl["ttl_minutes"]) == ("delete", 60) and ttl["expires_at"] > "2026"
    client.threads.update(id, metadata={"a": 1}, ttl={"strategy": "keep_latest", "ttl": 0.5})
    assert client.threads.get(id, include=["ttl"])["ttl"]["strategy"] == "keep_latest"
    copied = client.threads.copy(id)
    copied_id = copied["thread_id"] if copied else None
    if copied_id is not None:
        assert client.threads.get(copied_id, include=["ttl"])["ttl"]["ttl_minutes"] == 0.5
    with pytest.raises(UnprocessableEntityError):
        client.threads.create(ttl=0)


def test_prune(client, tag):
    kept, gone = (client.threads.create(metadata={"tag": tag})["thread_id"] for _ in range(2))
    client.runs.wait(kept, "slow", input={"steps": 3, "step_ms": 1})
    before = client.threads.get_state(kept)
    assert client.threads.prune([kept], strategy="keep_latest")["pruned_count"] == 1
    assert len(client.threads.get_history(kept)) == 1
    assert client.threads.get_state(kept)["values"] == before["values"]
    assert client.threads.prune([gone, str(uuid.uuid4())]) == {"pruned_count": 1}
    with pytest.raises(NotFoundError):
        client.threads.get(gone)


def test_what_a_thread_takes(server, client):
    id = client.threads.create()["thread_id"]
    client.runs.wait(id, "slow", input={"steps": 3, "step_ms": 1})
    storage = httpx.get(f"{server.url}/threads/{id}/storage").json()
    assert storage["total_bytes"] > storage["checkpoints"]["bytes"] > 0
    assert "done" in storage["channel_values"]["by_channel"]
