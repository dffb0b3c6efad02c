"""docs/wire/langgraph-api.md §2.3."""

import httpx
import pytest
from langgraph_sdk.errors import ConflictError, NotFoundError, UnprocessableEntityError

from conftest import say


@pytest.fixture
def assistant(client, tag):
    return client.assistants.create(
        "agent",
        config={"tags": ["t"], "recursion_limit": 20, "configurable": {"Some_Key": 1}},
        metadata={"tag": tag, "camelKey": {"snake_key": 1}},
        name="First",
        description="one",
    )


def test_system_assistants_exist_for_every_graph(client):
    found = client.assistants.search(metadata={"created_by": "system"}, limit=100)
    assert {"agent", "approval", "research", "parallel", "slow", "failing", "memory"} <= {a["graph_id"] for a in found}


def test_create_keeps_what_users_own_as_it_is(client, assistant, tag):
    got = client.assistants.get(assistant["assistant_id"])
    assert got == assistant
    assert got["metadata"] == {"tag": tag, "camelKey": {"snake_key": 1}}
    assert got["config"] == {"tags": ["t"], "recursion_limit": 20, "configurable": {"Some_Key": 1}}
    assert (got["version"], got["name"], got["description"]) == (1, "First", "one")


def test_if_exists(client, assistant):
    again = {"graph_id": "agent", "assistant_id": assistant["assistant_id"]}
    with pytest.raises(ConflictError):
        client.assistants.create(**again)
    assert client.assistants.create(**again, if_exists="do_nothing") == assistant


def test_update_versions_and_latest(client, assistant):
    id = assistant["assistant_id"]
    second = client.assistants.update(id, name="Second", metadata={"more": 1}, config={"configurable": {"a": 2}})
    assert second["version"] == 2
    assert second["metadata"] == {**assistant["metadata"], "more": 1}
    assert [v["version"] for v in client.assistants.get_versions(id)] == [2, 1]
    assert [v["version"] for v in client.assistants.get_versions(id, limit=1, offset=1)] == [1]
    assert [v["version"] for v in client.assistants.get_versions(id, metadata={"more": 1})] == [2]
    first = client.assistants.set_latest(id, 1)
    assert (first["version"], first["name"], first["config"]) == (1, "First", assistant["config"])
    assert client.assistants.update(id, name="Third")["version"] == 3
    with pytest.raises(NotFoundError):
        client.assistants.set_latest(id, 99)


def test_search_count_paging_select(client, tag):
    made = [client.assistants.create("slow", metadata={"tag": tag}, name=f"{tag}-{n}") for n in range(3)]
    assert client.assistants.count(metadata={"tag": tag}) == 3
    assert client.assistants.count(metadata={"tag": tag}, graph_id="agent") == 0
    names = lambda **query: [a["name"] for a in client.assistants.search(metadata={"tag": tag}, **query)]
    assert names(sort_by="name", sort_order="asc") == [a["name"] for a in made]
    assert names(sort_by="name", sort_order="desc", limit=1, offset=1) == [made[1]["name"]]
    assert names(name=f"{tag.upper()}-2") == [made[2]["name"]]
    page = client.assistants.search(metadata={"tag": tag}, limit=2, response_format="object")
    assert len(page["assistants"]) == 2 and page["next"] == "2"
    [selected] = client.assistants.search(metadata={"tag": tag}, limit=1, select=["assistant_id", "name"])
    assert set(selected) == {"assistant_id", "name"}


def test_delete_also_its_threads_when_asked(client, tag):
    id = client.assistants.create("slow", metadata={"tag": tag})["assistant_id"]
    thread_id = client.threads.create()["thread_id"]
    client.runs.wait(thread_id, id, input={"steps": 1, "step_ms": 1})
    client.assistants.delete(id, delete_threads=True)
    for gone in (lambda: client.assistants.get(id), lambda: client.threads.get(thread_id)):
        with pytest.raises(NotFoundError):
            gone()


def test_missing_and_malformed(client):
    with pytest.raises(NotFoundError):
        client.assistants.get("00000000-0000-4000-8000-000000000000")
    with pytest.raises(UnprocessableEntityError):
        client.assistants.search(limit=0)


def test_graph(client):
    graph = client.assistants.get_graph("research")
    assert {"plan", "investigate", "report"} <= {node["id"] for node in graph["nodes"]}
    assert any(edge["source"] == "plan" and edge["target"] == "investigate" for edge in graph["edges"])
    expanded = {node["id"] for node in client.assistants.get_graph("research", xray=True)["nodes"]}
    assert {"investigate:search", "investigate:summarize"} <= expanded


@pytest.mark.parametrize("graph_id, key", [("approval", "draft"), ("parallel", "text")])
def test_schemas_of_both_kinds_of_state(client, graph_id, key):
    schemas = client.assistants.get_schemas(graph_id)
    assert schemas["graph_id"] == graph_id
    assert key in schemas["state_schema"]["properties"]
    assert {"input_schema", "output_schema", "config_schema", "context_schema"} <= set(schemas)


def test_subgraphs(client):
    assert set(client.assistants.get_subgraphs("research", recurse=True)) == {"investigate"}
    assert set(client.assistants.get_subgraphs("research", namespace="investigate")) == {"investigate"}
    assert client.assistants.get_subgraphs("agent") == {}


def test_context_of_an_assistant(client, tag):
    made = client.assistants.create("memory", context={"user": tag}, metadata={"tag": tag})
    assert made["context"] == {"user": tag}
    client.runs.wait(None, made["assistant_id"], input=say("Remember that I like tea."))
    [item] = client.store.search_items(["memories", tag])["items"]
    assert item["value"] == {"fact": "I like tea"}
    moved = client.assistants.update(made["assistant_id"], graph_id="slow", context={}, description="moved")
    assert (moved["graph_id"], moved["context"], moved["description"]) == ("slow", {}, "moved")
    assert client.runs.wait(None, made["assistant_id"], input={"steps": 1, "step_ms": 1})["done"] == 1


def test_latest_by_query(server, client, assistant):
    client.assistants.update(assistant["assistant_id"], name="Second")
    url = f"{server.url}/assistants/{assistant['assistant_id']}/latest"
    assert httpx.post(url, params={"version": 1}).json()["name"] == "First"
