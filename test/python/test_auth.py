"""The SDK's Auth object behind the Python client: strangers, owners, and what is hidden."""

import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from langgraph_sdk import get_sync_client

from conftest import Server

AUTH = {"LANGGRAPH_AUTH": json.dumps({"path": "./test/python/owners_auth.ts:auth"})}


@pytest.fixture(scope="module")
def guarded() -> Iterator[Server]:
    server = Server("memory:", AUTH)
    yield server
    server.stop()


def client_of(server: Server, name: str | None):
    headers = {} if name is None else {"authorization": f"Bearer {name}"}
    return get_sync_client(url=server.url, headers=headers, api_key=None)


def status_of(call) -> int:
    with pytest.raises(httpx.HTTPStatusError) as caught:
        call()
    return caught.value.response.status_code


def test_strangers_are_refused(guarded: Server) -> None:
    nobody = client_of(guarded, None)
    assert status_of(lambda: nobody.threads.search()) == 401
    assert status_of(lambda: nobody.runs.wait(None, "agent", input={})) == 401


def test_owners_see_what_is_theirs(guarded: Server) -> None:
    ann, bob = client_of(guarded, "ann"), client_of(guarded, "bob")
    thread = ann.threads.create(metadata={"topic": "tea"})
    assert thread["metadata"] == {"topic": "tea", "owner": "ann"}
    values = ann.runs.wait(thread["thread_id"], "agent", input={"messages": [{"role": "human", "content": "hi"}]})
    assert len(values["messages"]) > 1
    for call in [
        lambda: bob.threads.get(thread["thread_id"]),
        lambda: bob.threads.get_state(thread["thread_id"]),
        lambda: bob.runs.list(thread["thread_id"]),
        lambda: bob.runs.wait(thread["thread_id"], "agent", input={}),
        lambda: list(bob.runs.stream(thread["thread_id"], "agent", input={})),
    ]:
        assert status_of(call) == 404
    assert bob.threads.search() == []
    assert [found["thread_id"] for found in ann.threads.search()] == [thread["thread_id"]]


def test_items_live_below_their_owner(guarded: Server) -> None:
    ann, bob = client_of(guarded, "ann"), client_of(guarded, "bob")
    ann.store.put_item(["ann", "notes"], key="k", value={"text": "x"})
    assert ann.store.get_item(["ann", "notes"], key="k")["value"] == {"text": "x"}
    assert status_of(lambda: bob.store.get_item(["ann", "notes"], key="k")) == 404
    assert bob.store.search_items(["ann"])["items"] == []
