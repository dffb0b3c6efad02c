"""docs/wire/langgraph-api.md §2.10, §5.1: the long-term store with `store.index` and `store.ttl`."""

import json
import time
from collections.abc import Iterator

import httpx
import pytest
from langgraph_sdk import get_sync_client

from conftest import STORAGES, Server, storage_uri

STORE = {
    "index": {"dims": 26, "embed": "./test/python/letters_embed.ts:embed", "fields": ["text", "parts[*].t"]},
    "ttl": {"default_ttl": 60, "refresh_on_read": False, "sweep_interval_minutes": 1},
}
SOON = 0.005  # 300 ms


@pytest.fixture(scope="module", params=STORAGES)
def searching(request, tmp_path_factory) -> Iterator[Server]:
    uri = storage_uri(request.param, tmp_path_factory.mktemp("storage"))
    running = Server(uri, {"LANGGRAPH_STORE": json.dumps(STORE)})
    yield running
    assert running.stop() == 0, "".join(running.lines[-50:])


@pytest.fixture
def store(searching):
    with get_sync_client(url=searching.url) as opened:
        yield opened.store


def test_search_by_meaning(store, tag):
    store.put_item([tag, "a"], "cat", {"text": "cat", "kind": "pet"})
    store.put_item([tag, "a"], "dog", {"text": "dog", "kind": "pet"})
    store.put_item([tag, "b"], "cart", {"text": "cart", "kind": "thing"})
    found = store.search_items([tag], query="act")["items"]
    assert [item["key"] for item in found] == ["cat", "cart", "dog"]
    assert found[0]["score"] == pytest.approx(1, abs=1e-5) and found[2]["score"] == pytest.approx(0, abs=1e-5)
    keys = lambda **query: [item["key"] for item in store.search_items([tag], **query)["items"]]
    assert keys(query="act", filter={"kind": "pet"}) == ["cat", "dog"]
    assert keys(query="act", limit=1, offset=1) == ["cart"]
    assert keys(query="act", limit=1, refresh_ttl=True) == ["cat"]
    assert all("score" not in item for item in store.search_items([tag])["items"])


def test_what_is_embedded(store, tag):
    keys = lambda: [item["key"] for item in store.search_items([tag], query="cat")["items"]]
    store.put_item([tag], "parts", {"parts": [{"t": "dog"}, {"t": "cat"}]})
    store.put_item([tag], "other", {"text": "dog", "title": "cat"}, index=["title"])
    store.put_item([tag], "off", {"text": "cat"}, index=False)
    assert sorted(keys()) == ["other", "parts"]
    store.put_item([tag], "other", {"text": "cat"}, index=False)
    store.delete_item([tag], "parts")
    assert keys() == []


def test_items_expire(store, tag):
    store.put_item([tag], "soon", {}, ttl=SOON)
    store.put_item([tag], "later", {}, ttl=10)
    store.put_item([tag], "default", {})
    deadline = time.monotonic() + 10
    while store.get_item([tag], "soon", refresh_ttl=False) is not None:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert sorted(item["key"] for item in store.search_items([tag])["items"]) == ["default", "later"]


def test_reads_lengthen_a_time_when_they_say_so(store, tag):
    ttl_s = 2

    def attempt(place):
        for key in ("read", "left"):
            store.put_item([tag, place], key, {}, ttl=ttl_s / 60)
        longest_s, started = 0.0, time.monotonic()
        for _ in range(1000):
            left = store.get_item([tag, place], "left")
            read = store.get_item([tag, place], "read", refresh_ttl=True)
            longest_s, started = max(longest_s, time.monotonic() - started), time.monotonic()
            if left is None:
                return longest_s, read
            time.sleep(0.02)
        raise AssertionError("it never expires")

    longest_s, read = attempt("0")
    for n in range(1, 5):
        # A machine that is busy enough reads too late to lengthen anything.
        if longest_s > ttl_s / 2:
            longest_s, read = attempt(str(n))
    assert read is not None


def test_what_is_wrong_is_named(searching):
    put = lambda **more: httpx.put(
        f"{searching.url}/store/items", json={"namespace": ["a"], "key": "k", "value": {}} | more
    )
    for more, named in [({"ttl": 0}, "ttl"), ({"index": ["a[x]"]}, "index[0]"), ({"namespace": ["a@b.c"]}, "%2E")]:
        answer = put(**more)
        assert answer.status_code == 422 and named in answer.json()["detail"]
