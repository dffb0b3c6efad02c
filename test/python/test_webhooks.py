"""docs/wire/langgraph-api.md §2.9.5: webhooks, with a receiver of the test's own."""

import base64
import hashlib
import hmac
import json
import os
import queue
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from langgraph_sdk import get_sync_client
from langgraph_sdk.errors import UnprocessableEntityError

from conftest import STORAGES, Server, say, storage_uri

WEBHOOKS = {"url": {"require_https": False, "disable_loopback": False}}
KEY = os.urandom(32)


@pytest.fixture(scope="module")
def received():
    got: queue.Queue = queue.Queue()

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["content-length"]))
            got.put((dict(self.headers), body))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *args):
            pass

    receiver = HTTPServer(("127.0.0.1", 0), Receiver)
    threading.Thread(target=receiver.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{receiver.server_port}/", got
    receiver.shutdown()


@pytest.fixture(scope="module", params=STORAGES)
def client(request, tmp_path_factory):
    secret = "whsec_" + base64.b64encode(KEY).decode()
    variables = {"LANGGRAPH_WEBHOOKS": json.dumps(WEBHOOKS), "HEDDLE_WEBHOOK_SECRETS": secret}
    running = Server(storage_uri(request.param, tmp_path_factory.mktemp("webhooks")), variables)
    with get_sync_client(url=running.url) as opened:
        yield opened
    assert running.stop() == 0, "".join(running.lines[-50:])


def take(got) -> dict:
    headers, body = got.get(timeout=20)
    headers = {name.lower(): value for name, value in headers.items()}
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    expected = base64.b64encode(hmac.new(KEY, signed, hashlib.sha256).digest()).decode()
    assert headers["webhook-signature"] == f"v1,{expected}"
    assert headers["content-type"] == "application/json"
    return json.loads(body)


def test_of_runs_on_a_thread_and_without_one(client, received):
    webhook, got = received
    thread_id = client.threads.create()["thread_id"]
    values = client.runs.wait(thread_id, "agent", input=say("hi"), webhook=webhook)
    told = take(got)
    assert told["thread_id"] == thread_id and told["status"] == "success" and told["values"] == values
    run = client.runs.create(thread_id, "agent", input=say("hi"), webhook=webhook)
    told = take(got)
    assert told["run_id"] == run["run_id"] and "error" not in told
    list(client.runs.stream(None, "agent", input=say("hi"), webhook=webhook))
    assert take(got)["status"] == "success"
    client.runs.create_batch([{"assistant_id": "agent", "input": say("hi"), "webhook": webhook}])
    assert take(got)["status"] == "success"


def test_that_are_not_allowed_are_refused(client):
    with pytest.raises(UnprocessableEntityError, match="webhook"):
        client.runs.create(None, "agent", input=say("hi"), webhook="http://10.0.0.1/")
