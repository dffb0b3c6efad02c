"""docs/wire/langgraph-api.md §2.10: the long-term store."""

import httpx
import pytest
from langgraph_sdk.errors import UnprocessableEntityError

from conftest import say


def test_put_get_delete(client, tag):
    client.store.put_item([tag, "prefs"], "k", {"camelKey": {"snake_key": None}})
    item = client.store.get_item([tag, "prefs"], "k")
    assert item["value"] == {"camelKey": {"snake_key": None}} and item["namespace"] == [tag, "prefs"]
    client.store.put_item([tag, "prefs"], "k", {"v": 2})
    again = client.store.get_item([tag, "prefs"], "k")
    assert again["value"] == {"v": 2} and again["created_at"] == item["created_at"]
    client.store.delete_item([tag, "prefs"], "k")
    client.store.delete_item([tag, "prefs"], "k")
    assert client.store.get_item([tag, "prefs"], "k") is None


def test_search(client, tag):
    for n in range(4):
        client.store.put_item([tag, "a"], f"k{n}", {"n": n, "even": n % 2 == 0})
    client.store.put_item([f"{tag}b"], "other", {"n": 0})
    keys = lambda **query: sorted(item["key"] for item in client.store.search_items([tag], **query)["items"])
    assert keys() == ["k0", "k1", "k2", "k3"]
    assert keys(filter={"even": True}) == ["k0", "k2"]
    assert keys(filter={"n": {"$gte": 1, "$lt": 3}}) == ["k1", "k2"]
    assert keys(filter={"n": {"$ne": 0}}) == ["k1", "k2", "k3"]
    assert len(keys(limit=2)) == 2 and len(keys(limit=10, offset=3)) == 1


def test_namespaces(client, tag):
    for path in (["a", "x"], ["a", "y"], ["b", "x"]):
        client.store.put_item([tag, *path], "k", {})
    listed = lambda **query: client.store.list_namespaces(**query)["namespaces"]
    assert listed(prefix=[tag]) == [[tag, "a", "x"], [tag, "a", "y"], [tag, "b", "x"]]
    assert listed(prefix=[tag], suffix=["x"]) == [[tag, "a", "x"], [tag, "b", "x"]]
    assert listed(prefix=[tag], max_depth=2) == [[tag, "a"], [tag, "b"]]
    assert listed(prefix=[tag, "*", "x"]) == [[tag, "a", "x"], [tag, "b", "x"]]
    assert listed(prefix=[tag], limit=1, offset=1) == [[tag, "a", "y"]]


def test_bad_namespaces(server, client):
    with pytest.raises((UnprocessableEntityError, ValueError)):
        client.store.put_item(["a.b"], "k", {})
    body = {"namespace": ["a.b"], "key": "k", "value": {}}
    assert httpx.put(f"{server.url}/store/items", json=body).status_code == 422


def test_graphs_and_clients_share_the_store(client, tag):
    client.runs.wait(None, "memory", input=say("Remember that I like tea."), context={"user": tag})
    [item] = client.store.search_items(["memories", tag])["items"]
    assert item["value"] == {"fact": "I like tea"}
    result = client.runs.wait(None, "memory", input=say("What do you know?"), context={"user": tag})
    assert "I like tea" in result["messages"][-1]["content"]
