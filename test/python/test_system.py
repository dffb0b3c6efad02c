"""docs/wire/langgraph-api.md §2.11: what has no method in the client."""

import httpx


def test_ok_answers_and_checks_the_database(server):
    assert httpx.get(f"{server.url}/ok").json() == {"ok": True}
    assert httpx.get(f"{server.url}/ok", params={"check_db": 1}).status_code == 200


def test_info_names_versions_and_flags(server):
    info = httpx.get(f"{server.url}/info").json()
    assert info["context"] == "js"
    assert info["flags"]["assistants"] is True
    assert info["langgraph_js_version"]


def test_openapi_is_3_1_and_describes_the_run_stream(server):
    document = httpx.get(f"{server.url}/openapi.json").json()
    assert document["openapi"].startswith("3.1")
    assert "post" in document["paths"]["/threads/{thread_id}/runs/stream"]


def test_docs_page_needs_no_other_host(server):
    page = httpx.get(f"{server.url}/docs", follow_redirects=True)
    assert page.headers["content-type"].startswith("text/html")
    assert "https://" not in page.text and "//cdn" not in page.text


def test_unknown_route_is_404_with_detail(server):
    answer = httpx.get(f"{server.url}/no/such/route")
    assert answer.status_code == 404
    assert "detail" in answer.json()


def test_truncate_does_not_exist(server):
    answer = httpx.post(f"{server.url}/internal/truncate", json={"runs": True, "threads": True})
    assert answer.status_code == 404
