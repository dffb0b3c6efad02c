"""docs/wire/langgraph-api.md §2.8: crons."""

from datetime import datetime, timedelta, timezone

import httpx
import pytest
from langgraph_sdk.errors import NotFoundError, UnprocessableEntityError

from conftest import say

YEARLY = "0 0 1 1 *"


def test_create_update_delete(server, client, tag):
    end = datetime.now(timezone.utc) + timedelta(days=1000)
    cron = client.crons.create(
        "agent",
        schedule="*/5 9 * * *",
        timezone="America/New_York",
        input=say("hi"),
        metadata={"tag": tag},
        end_time=end,
        on_run_completed="keep",
    )
    assert cron["metadata"] == {"tag": tag} and cron["thread_id"] is None and cron["enabled"] is True
    assert cron["timezone"] == "America/New_York" and cron["payload"]["input"] == say("hi")
    assert datetime.fromisoformat(cron["next_run_date"]) > datetime.now(timezone.utc)
    got = httpx.get(f"{server.url}/runs/crons/{cron['cron_id']}").json()
    assert got == cron
    changed = client.crons.update(cron["cron_id"], schedule=YEARLY, metadata={"more": 1})
    assert changed["schedule"] == YEARLY and changed["metadata"] == {"tag": tag, "more": 1}
    assert changed["end_time"] == cron["end_time"] and changed["on_run_completed"] == "keep"
    off = client.crons.update(cron["cron_id"], enabled=False)
    assert off["enabled"] is False and off["next_run_date"] is None
    client.crons.delete(cron["cron_id"])
    with pytest.raises(NotFoundError):
        client.crons.delete(cron["cron_id"])


def test_for_a_thread(client):
    thread = client.threads.create()
    cron = client.crons.create_for_thread(thread["thread_id"], "agent", schedule=YEARLY, input=say("hi"))
    assert cron["thread_id"] == thread["thread_id"]
    assert cron["payload"]["multitask_strategy"] == "enqueue"
    assert client.crons.count(thread_id=thread["thread_id"]) == 1
    client.threads.delete(thread["thread_id"])
    assert client.crons.count(thread_id=thread["thread_id"]) == 0


def test_search_and_count(client, tag):
    made = [
        client.crons.create("agent", schedule=f"{minute} 0 1 1 *", metadata={"tag": tag, "n": n})
        for n, minute in enumerate((30, 10, 20))
    ]
    ids = [cron["cron_id"] for cron in made]
    search = lambda **query: [ids.index(cron["cron_id"]) for cron in client.crons.search(metadata={"tag": tag}, **query)]
    assert search() == [2, 1, 0]
    assert search(sort_by="next_run_date", sort_order="asc") == [1, 2, 0]
    assert search(assistant_id=made[0]["assistant_id"], limit=1, offset=2) == [0]
    assert client.crons.count(metadata={"tag": tag}) == 3
    [picked] = client.crons.search(metadata={"tag": tag, "n": 1}, select=["cron_id", "enabled"])
    assert picked == {"cron_id": ids[1], "enabled": True}


def test_refused(client):
    for wrong in ({"schedule": "* * * * * *"}, {"schedule": YEARLY, "timezone": "Mars/Phobos"}):
        with pytest.raises(UnprocessableEntityError) as refused:
            client.crons.create("agent", **wrong)
        assert list(wrong)[-1] in str(refused.value)
    with pytest.raises(UnprocessableEntityError, match="end_time"):
        client.crons.create("agent", schedule=YEARLY, end_time=datetime(2001, 1, 1, tzinfo=timezone.utc))
