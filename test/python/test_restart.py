"""SQLite keeps what it acknowledged: across a restart, and across kill -9 in the middle of a run."""

import pytest
from langgraph_sdk import get_sync_client

from conftest import Server, say


@pytest.fixture
def own_server(tmp_path):
    started = Server(f"sqlite:{tmp_path / 'heddle.db'}")
    yield started
    started.kill()


def test_everything_survives_a_restart(own_server):
    with get_sync_client(url=own_server.url) as client:
        thread_id = client.threads.create(metadata={"kept": True})["thread_id"]
        client.runs.wait(thread_id, "approval", input=say("refund"))
        assistant = client.assistants.create("slow", name="Kept")
        client.store.put_item(["kept"], "k", {"v": 1})
    assert own_server.stop() == 0
    own_server.start()
    with get_sync_client(url=own_server.url) as client:
        assert client.threads.get(thread_id)["status"] == "interrupted"
        assert client.assistants.get(assistant["assistant_id"]) == assistant
        assert client.store.get_item(["kept"], "k")["value"] == {"v": 1}
        assert len(client.runs.wait(thread_id, "approval", command={"resume": {"type": "approve"}})["sent"]) == 1


def test_a_killed_run_goes_on(own_server):
    with get_sync_client(url=own_server.url) as client:
        thread_id = client.threads.create()["thread_id"]
        run_id = client.runs.create(thread_id, "slow", input={"steps": 20, "step_ms": 50})["run_id"]
        for part in client.runs.join_stream(thread_id, run_id):
            if part.event == "values" and part.data.get("done", 0) >= 2:
                break
    own_server.kill()
    own_server.start()
    with get_sync_client(url=own_server.url) as client:
        joined = list(client.runs.join_stream(thread_id, run_id))
        assert client.runs.join(thread_id, run_id)["done"] == 20
        assert client.runs.get(thread_id, run_id)["status"] == "success"
        steps = [s["values"].get("done") for s in client.threads.get_history(thread_id, limit=1000)]
        assert steps[0] == 20 and len(steps) == len(client.threads.get_history(thread_id, limit=1000))
        assert joined, "the run's stream could be joined"
