"""What is not there yet is refused by an error that names it: never accepted and ignored."""

import httpx
import pytest

RUN = {"assistant_id": "slow", "input": {"steps": 1, "step_ms": 1}}


@pytest.mark.parametrize(
    "method, path, body, query, named",
    [
        ("GET", "/threads/{thread_id}", None, {"include": "size"}, "include"),
        ("POST", "/threads/{thread_id}/runs", {**RUN, "webhook": "ftp://example.com"}, {}, "webhook"),
        ("POST", "/threads/{thread_id}/runs", {**RUN, "feedback_keys": ["a"]}, {}, "feedback_keys"),
        ("POST", "/threads/{thread_id}/runs", {**RUN, "strict_resume": True}, {}, "strict_resume"),
        ("POST", "/threads/{thread_id}/runs/stream", RUN, {"namespace": "a"}, "namespace"),
        ("GET", "/threads/{thread_id}/runs/{run_id}/stream", None, {"namespace": "a"}, "namespace"),
        ("POST", "/threads/{thread_id}/runs/{run_id}/cancel", None, {"reason": "taken"}, "reason"),
        ("PUT", "/store/items", {"namespace": ["a"], "key": "k", "value": {}, "index": ["a"]}, {}, "index"),
        ("POST", "/store/items/search", {"namespace_prefix": [], "query": "tea"}, {}, "query"),
    ],
)
def test_refused_by_name(server, client, thread_id, method, path, body, query, named):
    run_id = client.runs.create(thread_id, **RUN)["run_id"] if "run_id" in path else ""
    url = server.url + path.format(thread_id=thread_id, run_id=run_id)
    answer = httpx.request(method, url, json=body, params=query)
    assert answer.status_code == 422 and named in answer.json()["detail"]
